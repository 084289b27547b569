//! Push: the bytes an image is made of go to a registry as they are, those it does not have.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use api::image::{Progress, ProgressDetail};
use distribution::document::{self, Document};
use distribution::{Content, DistributionError, Gate, Limits, Push, PushBlob, PushStep};
use oci::image::{Descriptor, Manifest};
use oci::{Digest, Reference};
use registry_client::{Access, Repository, Stop, Target};

use super::event_with;
use crate::engine::Inner;
use crate::registry::content::Blobs;
use crate::registry::{Caller, failure};
use crate::{Error, Result};

/// What is pushed.
#[derive(Debug, Clone, Default)]
pub struct PushParameters {
    /// Name, perhaps with a tag.
    pub image: String,
    /// Tag; when there is none anywhere, all tags are pushed.
    pub tag: String,
    /// `os/arch[/variant]`: only the manifest of this platform, under the tag.
    pub platform: Option<String>,
    /// Who asks.
    pub caller: Caller,
}

/// One push with everything it uses.
struct Work<'e> {
    inner: &'e Arc<Inner>,
    repository: Repository,
    reference: Reference,
    platform: Option<oci::Platform>,
    limits: Limits,
    gate: Gate,
    stop: &'e Stop,
    tell: Sender<Progress>,
}

/// Everything of an image that goes to the registry.
#[derive(Default)]
struct Parts {
    /// Blobs with what they are called while they go; configurations go unnamed.
    blobs: Vec<(Descriptor, Option<String>)>,
    /// Documents, the ones that are named by others first; the last one gets the tag.
    documents: Vec<Descriptor>,
    /// Documents that are not here.
    missing: Vec<Descriptor>,
}

pub(super) fn push(
    inner: &Arc<Inner>,
    parameters: &PushParameters,
    progress: &mut dyn FnMut(Progress),
    stop: &Stop,
) -> Result<()> {
    let reference = reference(&parameters.image, &parameters.tag)?;
    let wanted = parameters.platform.as_deref().filter(|text| !text.is_empty());
    let platform =
        wanted.map(|text| text.parse::<oci::Platform>().map_err(Error::from_kinded)).transpose()?;
    progress(Progress::status("", format!("The push refers to repository [{}]", reference.name())));
    let tags = tags(inner, &reference);
    if tags.is_empty() && !is_known(inner, &reference) {
        let name = reference.familiar_name();
        return Err(Error::not_found(format!("An image does not exist locally with the tag: {name}")));
    }
    let (tell, told) = std::sync::mpsc::channel();
    let client = inner.registries.client(&parameters.caller).until(stop);
    let repository =
        client.repository(&reference, &parameters.caller.credentials, Access::Push).map_err(failure)?;
    if tags.is_empty() {
        let text = match reference.tag() {
            Some(_) => format!("tag does not exist: {}", reference.familiar()),
            None => format!("no tags to push for {}", reference.familiar_name()),
        };
        return Err(Error::not_found(text));
    }
    let (limits, gate) = (inner.registries.limits(), inner.registries.uploads());
    let work = Work { inner, repository, reference, platform, limits, gate, stop, tell };
    std::thread::scope(|scope| {
        let work = scope.spawn(move || tags.iter().try_for_each(|(tag, id)| work.one(tag, id)));
        told.into_iter().for_each(&mut *progress);
        work.join().unwrap_or_else(|_| Err(Error::internal("the push ended unexpectedly")))
    })
}

fn reference(image: &str, tag: &str) -> Result<Reference> {
    let reference: Reference = image.parse().map_err(Error::from_kinded)?;
    if tag.is_empty() {
        return Ok(reference);
    }
    reference.with_tag(tag).map_err(|_| Error::invalid("invalid tag format"))
}

/// The tags that are meant, with the images they stand for.
fn tags(inner: &Inner, reference: &Reference) -> Vec<(String, Digest)> {
    let mut found = Vec::new();
    for image in inner.storage.images.list() {
        for name in
            image.names.iter().filter(|name| name.name() == reference.name() && name.digest().is_none())
        {
            let wanted = reference.tag().is_none() || reference.tag() == name.tag();
            if let Some(tag) = name.tag().filter(|_| wanted) {
                found.push((tag.to_owned(), image.id.clone()));
            }
        }
    }
    found.sort();
    found
}

/// Whether any image has a name of this repository.
fn is_known(inner: &Inner, reference: &Reference) -> bool {
    let images = inner.storage.images.list();
    images.iter().flat_map(|image| &image.names).any(|name| name.name() == reference.name())
}

impl Work<'_> {
    fn one(&self, tag: &str, id: &Digest) -> Result<()> {
        let images = &self.inner.storage.images;
        // Nothing of it may be collected on the way.
        let _lease = images.lease();
        let image = images.get(id).ok_or_else(|| Error::not_found(format!("No such image: {id}")))?;
        let content = Blobs(images.content());
        let push = Push {
            repository: &self.repository,
            content: &content,
            limits: &self.limits,
            gate: &self.gate,
            stop: self.stop,
        };
        let parts = self.parts(&content, &image)?;
        let (last, before) =
            parts.documents.split_last().ok_or_else(|| Error::internal("an image without documents"))?;
        if self.is_all_there(&push, &image, &parts, tag, last)? {
            self.end(tag, &image, last);
            return Ok(());
        }
        for document in before {
            let target = Target::Digest(document.digest.clone());
            push.document(document, &target).map_err(refused)?;
        }
        push.document(last, &Target::Tag(tag.to_owned())).map_err(refused)?;
        self.end(tag, &image, last);
        Ok(())
    }

    /// Pushes the blobs; whether the registry had all of them, and under the tag the last document. Where the image has
    /// been before, both are asked at once.
    fn is_all_there(
        &self,
        push: &Push<'_>,
        image: &image::Image,
        parts: &Parts,
        tag: &str,
        last: &Descriptor,
    ) -> Result<bool> {
        let known = |name: &Reference| {
            name.domain() == self.reference.domain()
                && name.path() == self.reference.path()
                && name.digest() == Some(&last.digest)
        };
        if !image.names.iter().any(known) {
            return Ok(self.blobs(push, image, parts)? && self.stands_for(tag, last));
        }
        std::thread::scope(|scope| {
            let stands = scope.spawn(|| self.stands_for(tag, last));
            let were_there = self.blobs(push, image, parts)?;
            Ok(stands.join().unwrap_or(false) && were_there)
        })
    }

    /// Whether the registry's tag is this document already. If it does not say so, the document is put once more.
    fn stands_for(&self, tag: &str, document: &Descriptor) -> bool {
        let there = self.repository.head(&Target::Tag(tag.to_owned()));
        matches!(there, Ok(Some(there)) if there.digest == document.digest)
    }

    /// What there is to push: the whole index where everything it names is here or at the registry, else the manifest
    /// of one platform.
    fn parts(&self, content: &Blobs<'_>, image: &image::Image) -> Result<Parts> {
        if self.platform.is_none() {
            let mut parts = Parts::default();
            self.gather(content, image, &image.target, &mut parts, 0)?;
            let there = |document: &Descriptor| {
                let target = Target::Digest(document.digest.clone());
                self.repository.head(&target).is_ok_and(|found| found.is_some())
            };
            if parts.missing.iter().all(there) {
                return Ok(parts);
            }
        }
        let manifest = self.manifest(image)?;
        let mut parts = Parts::default();
        self.gather(content, image, &manifest, &mut parts, 0)?;
        Ok(parts)
    }

    /// The manifest of the platform in question.
    fn manifest(&self, image: &image::Image) -> Result<Descriptor> {
        let Some(wanted) = &self.platform else { return Ok(image.manifest.clone()) };
        image.on(wanted).map(|found| found.manifest).ok_or_else(|| {
            let (name, platform) = (self.reference.familiar(), wanted.text());
            Error::not_found(format!("image with reference {name} was found but does not provide the specified platform ({platform})"))
        })
    }

    fn gather(
        &self,
        content: &Blobs<'_>,
        image: &image::Image,
        target: &Descriptor,
        parts: &mut Parts,
        depth: usize,
    ) -> Result<()> {
        let left_out = image.left_out.contains(&target.digest);
        if depth > 4 || left_out || !content.has(target).map_err(Error::from_kinded)? {
            parts.missing.push(target.clone());
            return Ok(());
        }
        let bytes = content.read(&target.digest).map_err(Error::from_kinded)?;
        match document::read(&bytes, &target.media_type).map_err(Error::from_kinded)? {
            Document::Index(index) => {
                for entry in &index.manifests {
                    self.gather(content, image, entry, parts, depth + 1)?;
                }
            }
            Document::Manifest(manifest) => parts.add(&manifest, target, image),
        }
        if !parts.documents.iter().any(|held| held.digest == target.digest) {
            parts.documents.push(target.clone());
        }
        Ok(())
    }

    /// Pushes the blobs; whether the registry had all of them.
    fn blobs(&self, push: &Push<'_>, image: &image::Image, parts: &Parts) -> Result<bool> {
        // The uppermost layer first, as Docker tells it.
        let shown = || parts.blobs.iter().rev();
        for id in shown().filter_map(|(_, id)| id.as_ref()) {
            self.say(state(id, "Preparing"));
        }
        let list: Vec<PushBlob> = shown()
            .map(|(blob, _)| PushBlob { descriptor: blob.clone(), mounts: self.mounts(image, &blob.digest) })
            .collect();
        let names: BTreeSet<String> = list.iter().flat_map(|blob| blob.mounts.iter().cloned()).collect();
        self.repository.mounts_from(&names.into_iter().collect::<Vec<_>>());
        let ids: Vec<Option<&String>> = shown().map(|(_, id)| id.as_ref()).collect();
        let were_there = AtomicBool::new(true);
        let told = |at: usize, step: PushStep| {
            if matches!(step, PushStep::Pushed | PushStep::Mounted { .. }) {
                were_there.store(false, Ordering::Relaxed);
            }
            if let (Some(Some(id)), Some(blob)) = (ids.get(at), list.get(at)) {
                self.say(words(id, step, blob.descriptor.size));
            }
        };
        push.blobs(&list, &told).map_err(refused)?;
        Ok(were_there.into_inner())
    }

    /// Another repository of the same registry where an image with this blob came from or was pushed to.
    fn mounts(&self, image: &image::Image, blob: &Digest) -> Vec<String> {
        let here = |name: &&Reference| {
            name.domain() == self.reference.domain() && name.path() != self.reference.path()
        };
        let of = |image: &image::Image| image.names.iter().find(here).map(|name| name.path().to_owned());
        let others = self.inner.storage.images.list();
        let sharing =
            others.iter().filter(|other| other.layers.iter().any(|layer| layer.blob.digest == *blob));
        of(image).into_iter().chain(sharing.filter_map(|other| of(other))).take(1).collect()
    }

    fn end(&self, tag: &str, image: &image::Image, document: &Descriptor) {
        let (digest, size) = (&document.digest, document.size);
        let text = format!("{tag}: digest: {digest} size: {size}");
        self.say(Progress::status("", text));
        let aux = serde_json::json!({"Tag": tag, "Digest": digest.as_str(), "Size": size});
        self.say(Progress {
            progress_detail: Some(ProgressDetail::default()),
            aux: Some(aux),
            ..Progress::default()
        });
        if let Ok(name) = self.reference.with_tag(tag) {
            let shown = name.familiar();
            let attributes = [("name".to_owned(), name.familiar_name())].into();
            event_with(self.inner, "push", &shown, &name.familiar_name(), attributes);
            // From now on the repository knows the image by its digest.
            if image.target.digest == *digest {
                let noted = self.inner.storage.images.note_digest(&image.id, &name, digest.clone());
                if let Err(error) = noted {
                    eprintln!("noting the digest of {shown}: {}", model::error::chain(&error));
                }
            }
        }
    }

    fn say(&self, progress: Progress) {
        // Nobody listens any more: the push is about to be stopped.
        let _ = self.tell.send(progress);
    }
}

impl Parts {
    fn add(&mut self, manifest: &Manifest, document: &Descriptor, image: &image::Image) {
        let own = document.digest == image.manifest.digest;
        let name = |layer: &Descriptor| {
            let known = image.layers.iter().find(|held| own && held.blob.digest == layer.digest);
            Some(known.map_or(layer.digest.short(), |held| held.diff_id.short()).to_owned())
        };
        let config = std::iter::once((manifest.config.clone(), None));
        for (blob, id) in config.chain(manifest.layers.iter().map(|layer| (layer.clone(), name(layer)))) {
            if !self.blobs.iter().any(|(held, _)| held.digest == blob.digest) {
                self.blobs.push((blob, id));
            }
        }
    }
}

fn state(id: &str, words: &str) -> Progress {
    Progress { progress_detail: Some(ProgressDetail::default()), ..Progress::status(id, words) }
}

fn words(id: &str, step: PushStep, total: u64) -> Progress {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    match step {
        PushStep::Pushing { current } => {
            let detail = ProgressDetail {
                current: signed(current),
                total: signed(total),
                ..ProgressDetail::default()
            };
            Progress { progress_detail: Some(detail), ..Progress::status(id, "Pushing") }
        }
        PushStep::Retrying { seconds: 1 } => state(id, "Retrying in 1 second"),
        PushStep::Retrying { seconds } => state(id, &format!("Retrying in {seconds} seconds")),
        PushStep::Exists => state(id, "Layer already exists"),
        PushStep::Mounted { from } => state(id, &format!("Mounted from {from}")),
        PushStep::Pushed => state(id, "Pushed"),
    }
}

/// What the registry says against it; Docker leaves out which request it was.
fn refused(error: DistributionError) -> Error {
    match error {
        DistributionError::Registry(registry_client::RegistryError::NoCredentials { .. }) => {
            Error::internal("no basic auth credentials")
        }
        DistributionError::Registry(error) => failure(error),
        other => Error::from_kinded(other),
    }
}
