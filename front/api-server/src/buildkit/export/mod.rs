//! What becomes of images that were built.

mod archives;
mod files;
mod options;
mod store;

use std::sync::atomic::Ordering;

use base64::Engine as _;
use buildkit::server::{Export, Job};
use engine::build::export::{Exported, Form, Part, Statement};
use grpc::{Code, Status};
use oci::Reference;

use super::backend::BuiltImage;
use super::failure;
use super::vertex::{self, Telling};
use options::{Facts, Options};

/// Exports what was built; what there is to say about it.
pub(super) fn export(built: &BuiltImage, export: &Export, job: &Job) -> Result<Facts, Status> {
    let options = Options::read(export)?;
    let title = match export.kind.as_str() {
        "moby" | "image" => "exporting to image".to_owned(),
        "docker" | "oci" => format!("exporting to {} image format", export.kind),
        "local" => "exporting to client directory".to_owned(),
        "tar" => "exporting to client tarball".to_owned(),
        kind => return Err(Status::new(Code::Unknown, format!("exporter {kind:?} could not be found"))),
    };
    let work = Work { built, export, job, options };
    vertex::told(&job.progress, &title, |telling| match export.kind.as_str() {
        "moby" | "image" => work.store(telling),
        "docker" | "oci" => work.archive(telling),
        "local" => work.folder(telling),
        _ => work.tarball(telling),
    })
}

/// One exporter at work.
struct Work<'w> {
    built: &'w BuiltImage,
    export: &'w Export,
    job: &'w Job,
    options: Options,
}

impl Work<'_> {
    /// Nothing that leaves is younger than this.
    fn epoch(&self) -> Option<model::Timestamp> {
        self.options.epoch.or_else(|| self.built.parts.first().and_then(|part| part.outcome.epoch))
    }

    /// The parts with what is said about them.
    fn parts(&self) -> Result<Vec<Part>, Status> {
        let part = |built: &super::backend::BuiltPart| {
            let cache = || self.built.engine.builds().inline_cache(&built.outcome.steps, &built.outcome.id);
            let cache = self.export.inline_cache.then(cache).transpose();
            Ok(Part {
                platform: built.platform.clone(),
                image: built.outcome.id.clone(),
                base_layers: built.outcome.base_layers,
                statements: self.statements(built).into_iter().map(|(_, said)| said).collect(),
                inline_cache: cache.map_err(|error| failure::plain(&error))?,
            })
        };
        self.built.parts.iter().map(part).collect()
    }

    /// What is said about a result, each with the name of the file that it becomes beside files.
    fn statements(&self, part: &super::backend::BuiltPart) -> Vec<(String, Statement)> {
        let known = part.outcome.provenance.as_ref();
        let said = known.and_then(|known| self.built.attest.provenance(known, &self.export.kind));
        let said = said.map(|said| ("provenance.json".to_owned(), said));
        part.packages.iter().cloned().chain(said).collect()
    }

    fn exported(&self, form: &Form, telling: &Telling<'_>) -> Result<Exported, Status> {
        let unwanted = || self.job.cancellation.is_cancelled();
        telling.part("exporting layers", "", 0, false);
        let exported = self.built.engine.builds().export(&self.parts()?, form, &unwanted);
        let exported = exported.map_err(|error| failure::plain(&error))?;
        telling.part("exporting layers", "", 0, true);
        Ok(exported)
    }

    fn form(&self, docker_types: bool) -> Result<Form, Status> {
        let rewrite = match (self.options.rewrite, self.epoch()) {
            (false, _) => None,
            (true, Some(epoch)) => Some(epoch),
            (true, None) => {
                let text = "rewrite-timestamp is set but no SOURCE_DATE_EPOCH was given";
                return Err(Status::new(Code::InvalidArgument, text));
            }
        };
        Ok(Form {
            packing: self.options.packing,
            docker_types,
            rewrite,
            annotations: self.options.annotations.clone(),
            names: self.options.names.clone(),
            stamp: None,
        })
    }

    /// What is said of a result with documents of its own.
    fn facts(&self, exported: &Exported) -> Facts {
        let mut facts =
            Facts::from([("containerimage.digest".to_owned(), exported.target.digest.to_string())]);
        // What is an index has no configuration of its own.
        if !oci::image::media::is_index(&exported.target.media_type) {
            facts.insert("containerimage.config.digest".to_owned(), exported.config.to_string());
        }
        if let Ok(descriptor) = serde_json::to_vec(&exported.target) {
            let text = base64::engine::general_purpose::STANDARD.encode(descriptor);
            facts.insert("containerimage.descriptor".to_owned(), text);
        }
        self.add_names(&mut facts, exported);
        facts
    }

    fn add_names(&self, facts: &mut Facts, exported: &Exported) {
        let mut names: Vec<String> = self.options.names.iter().map(Reference::canonical).collect();
        if self.options.canonical {
            let digest = &exported.target.digest;
            names.extend(self.options.names.iter().map(|name| format!("{}@{digest}", name.name())));
        }
        if !names.is_empty() {
            facts.insert("image.name".to_owned(), names.join(","));
        }
    }

    /// The images are wanted as they were built.
    fn want(&self) {
        self.built.wanted.store(true, Ordering::SeqCst);
    }
}
