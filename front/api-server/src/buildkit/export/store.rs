//! Exporters `moby` and `image`: images of this engine, and those of a registry.

use engine::build::export::{Exported, PushTarget};
use engine::registry::Stop;
use grpc::{Code, Status};
use oci::Reference;

use super::options::Facts;
use super::{Work, failure};
use crate::buildkit::request;
use crate::buildkit::vertex::Telling;

impl Work<'_> {
    /// Makes images, names them, and pushes them when that is wanted. Of `moby` the client itself pushes afterwards.
    pub(super) fn store(&self, telling: &Telling<'_>) -> Result<Facts, Status> {
        let push = self.options.push && self.export.kind == "image";
        let mut form = self.form(self.options.oci_types == Some(false))?;
        if push {
            form.packing = Some(self.options.packing_or_gzip());
        }
        let exported = self.exported(&form, telling)?;
        let id = exported.target.digest.to_string();
        if self.options.keep {
            self.keep(&exported, telling)?;
        }
        if push {
            self.push(&exported, telling)?;
        }
        let mut facts = self.facts(&exported);
        if self.export.kind == "moby" {
            // As the engine's own clients know the image; and this is all its own builder says.
            facts.remove("containerimage.descriptor");
            facts.insert("containerimage.config.digest".to_owned(), id);
        }
        Ok(facts)
    }

    fn keep(&self, exported: &Exported, telling: &Telling<'_>) -> Result<(), Status> {
        let id = exported.target.digest.to_string();
        let as_built = self.built.parts.first().is_some_and(|part| part.outcome.id == id);
        telling.part(&format!("writing image {id}"), "", 0, true);
        let images = self.built.engine.images();
        if as_built {
            self.want();
            for name in &self.options.names {
                let tag = name.tag().unwrap_or("latest");
                images.tag(&id, &name.familiar_name(), tag).map_err(|error| failure::plain(&error))?;
            }
        } else {
            let kept = self.built.engine.builds().keep(exported, self.options.names.clone());
            kept.map_err(|error| failure::plain(&error))?;
        }
        for name in &self.options.names {
            telling.part(&format!("naming to {}", name.canonical()), "", 0, true);
        }
        Ok(())
    }

    fn push(&self, exported: &Exported, telling: &Telling<'_>) -> Result<(), Status> {
        if self.options.names.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "a name is needed to push an image"));
        }
        let stop = Stop::default();
        let ended = stop.clone();
        let _hook = self.job.cancellation.on_cancel(move || ended.stop());
        for name in &self.options.names {
            self.push_one(exported, name, &stop, telling)?;
        }
        Ok(())
    }

    fn push_one(
        &self,
        exported: &Exported,
        name: &Reference,
        stop: &Stop,
        telling: &Telling<'_>,
    ) -> Result<(), Status> {
        let target = PushTarget {
            name: name.clone(),
            credentials: request::credentials_of(self.job, name.domain())?,
            by_digest: self.options.by_digest,
        };
        let shown = format!("pushing {}", name.canonical());
        telling.part(&shown, "pushing layers", 0, false);
        let progress = |bytes| telling.part(&shown, "pushing layers", bytes, false);
        let pushed = self.built.engine.builds().push(exported, &target, stop, &progress);
        let pushed = pushed.map_err(|error| {
            let text = format!("failed to push {}: {}", name.familiar(), error.message());
            Status::new(Code::Unknown, text)
        })?;
        telling.part(&format!("{shown}@{pushed}"), "pushing manifest", 0, true);
        Ok(())
    }
}
