//! What was exported goes to a registry.

use std::sync::atomic::{AtomicU64, Ordering};

use distribution::{Push, PushBlob, PushStep};
use oci::image::{Descriptor, media};
use oci::{Digest, Reference};
use registry_client::{Access, Credentials, Stop, Target};

use super::Exported;
use crate::build::Builds;
use crate::engine::Inner;
use crate::registry::content::Blobs;
use crate::registry::{Caller, failure};
use crate::{Error, Result};

/// Where something is pushed.
#[derive(Debug, Clone)]
pub struct PushTarget {
    /// The repository, with a tag or without.
    pub name: Reference,
    /// What the registry is told.
    pub credentials: Credentials,
    /// No tag is set: it is found by its digest only.
    pub by_digest: bool,
}

impl Builds<'_> {
    /// Pushes what the registry does not have yet; `progress` is told how many bytes went out.
    ///
    /// # Errors
    /// What the registry says against it.
    pub fn push(
        &self,
        exported: &Exported,
        target: &PushTarget,
        stop: &Stop,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Digest> {
        push(self.inner, &exported.parts()?, target, stop, progress)
    }
}

/// Pushes blobs and documents, the last of which gets the tag; its digest.
pub(in crate::build) fn push(
    inner: &Inner,
    parts: &[Descriptor],
    target: &PushTarget,
    stop: &Stop,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Digest> {
    let caller = Caller { credentials: target.credentials.clone(), headers: Vec::new() };
    let client = inner.registries.client(&caller).until(stop);
    let repository = client.repository(&target.name, &target.credentials, Access::Push).map_err(failure)?;
    let content = Blobs(inner.storage.images.content());
    let (limits, gate) = (inner.registries.limits(), inner.registries.uploads());
    let push = Push { repository: &repository, content: &content, limits: &limits, gate: &gate, stop };
    let is_document =
        |one: &&Descriptor| media::is_manifest(&one.media_type) || media::is_index(&one.media_type);
    let (documents, blobs): (Vec<&Descriptor>, Vec<&Descriptor>) = parts.iter().partition(is_document);
    let list: Vec<PushBlob> =
        blobs.into_iter().map(|blob| PushBlob { descriptor: blob.clone(), mounts: Vec::new() }).collect();
    let sent = AtomicU64::new(0);
    let told = |at: usize, step: PushStep| {
        if let (PushStep::Pushed, Some(blob)) = (step, list.get(at)) {
            progress(sent.fetch_add(blob.descriptor.size, Ordering::Relaxed) + blob.descriptor.size);
        }
    };
    push.blobs(&list, &told).map_err(refused)?;
    let (last, before) = documents.split_last().ok_or_else(|| Error::internal("nothing to push"))?;
    for document in before {
        push.document(document, &Target::Digest(document.digest.clone())).map_err(refused)?;
    }
    let place = match target.name.tag().filter(|_| !target.by_digest) {
        Some(tag) => Target::Tag(tag.to_owned()),
        None => Target::Digest(last.digest.clone()),
    };
    push.document(last, &place).map_err(refused)?;
    Ok(last.digest.clone())
}

fn refused(error: distribution::DistributionError) -> Error {
    match error {
        distribution::DistributionError::Registry(error) => failure(error),
        other => Error::from_kinded(other),
    }
}
