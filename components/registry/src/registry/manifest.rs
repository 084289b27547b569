//! Manifests: pushing, reading, removing.

use std::sync::Arc;

use oci::digest::{Algorithm, Digest, Digester};
use oci::image::Descriptor;

use super::Registry;
use super::cache::Manifest;
use super::document::{Document, MAX_MANIFEST, digests};
use super::record::{self, LinkRecord, ManifestRecord, TagRecord};
use crate::RegistryError;
use crate::name::{ManifestReference, Repository};
use crate::storage::{Change, Content, StorageError};

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: Digest,
    /// What it says something about.
    pub subject: Option<Digest>,
}

/// A manifest as it comes in.
#[derive(Debug, Clone, Copy)]
pub struct NewManifest<'m> {
    /// Its exact bytes.
    pub bytes: &'m [u8],
    /// Its `Content-Type`.
    pub media: Option<&'m str>,
    /// Where it was pushed to.
    pub reference: &'m ManifestReference,
    /// More tags for it.
    pub tags: &'m [String],
    /// Whether what it names has to be here; a mirror fetches that later.
    pub whole: bool,
}

impl Registry {
    /// The manifest of a tag or digest.
    ///
    /// # Errors
    /// `ManifestUnknown` or `NameUnknown`, and when the storage fails.
    pub fn manifest(&self, name: &Repository, reference: &str) -> Result<Arc<Manifest>, RegistryError> {
        if let Some(manifest) = self.cache.get(name.as_str(), reference) {
            return Ok(manifest);
        }
        let generation = self.cache.generation();
        let manifest = Arc::new(self.read_manifest(name, &reference.parse()?)?);
        self.cache.keep(name.as_str(), reference, &manifest, generation);
        Ok(manifest)
    }

    fn read_manifest(
        &self,
        name: &Repository,
        reference: &ManifestReference,
    ) -> Result<Manifest, RegistryError> {
        let digest = self.resolve(name, reference)?;
        let found: Option<ManifestRecord> =
            record::read(&*self.storage, &record::manifest_key(name.as_str(), &digest))?;
        let Some(found) = found else { return Err(self.unknown(name, digest.as_str())?) };
        let damaged = || StorageError::Damaged { what: digest.to_string() };
        let blob = self.storage.open_blob(&digest)?.ok_or_else(damaged)?;
        let bytes = blob.read_all(MAX_MANIFEST as u64)?;
        Ok(Manifest { digest, media: found.media, bytes })
    }

    /// Whether a repository has a manifest.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn has_manifest(&self, name: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        Ok(self.storage.record(&record::manifest_key(name.as_str(), digest))?.is_some())
    }

    /// The size of a blob that a mirrored manifest names.
    ///
    /// # Errors
    /// `BlobUnknown` when none does.
    pub fn wanted_size(&self, name: &Repository, digest: &Digest) -> Result<u64, RegistryError> {
        let found = record::read(&*self.storage, &record::wanted_key(name.as_str(), digest))?;
        found.ok_or_else(|| RegistryError::BlobUnknown { digest: digest.clone() })
    }

    fn resolve(&self, name: &Repository, reference: &ManifestReference) -> Result<Digest, RegistryError> {
        match reference {
            ManifestReference::Digest(digest) => Ok(digest.clone()),
            ManifestReference::Tag(tag) => match self.tag(name, tag)? {
                Some(found) => Ok(found.digest),
                None => Err(self.unknown(name, tag)?),
            },
        }
    }

    /// Which of the two is unknown, the repository or the manifest.
    fn unknown(&self, name: &Repository, reference: &str) -> Result<RegistryError, RegistryError> {
        Ok(match self.has_repository(name)? {
            true => RegistryError::ManifestUnknown { reference: reference.to_owned() },
            false => RegistryError::NameUnknown { name: name.to_string() },
        })
    }

    /// Takes a manifest in, durable at return.
    ///
    /// # Errors
    /// `ManifestInvalid`, `ManifestTooLarge`, `DigestMismatch`, `ManifestBlobUnknown` when it names what the
    /// repository does not have, and when the storage fails.
    pub fn push_manifest(&self, name: &Repository, new: NewManifest<'_>) -> Result<Pushed, RegistryError> {
        if new.bytes.len() > MAX_MANIFEST {
            return Err(RegistryError::ManifestTooLarge { limit: MAX_MANIFEST });
        }
        let document = Document::parse(new.bytes, new.media)?;
        let digest = digest_of(new.bytes, new.reference)?;
        let _changing = self.repositories.hold(name);
        if new.whole {
            self.check_whole(name, &document)?;
        }
        let changes = self.push_changes(name, &new, &document, &digest)?;
        {
            let _coming = self.blobs.hold(&digest);
            match self.storage.blob_size(&digest)? {
                Some(_) => self.storage.commit(changes)?,
                None => self.storage.put_blob(&digest, Content::Bytes(new.bytes), changes)?,
            }
        }
        self.cache.forget(name.as_str());
        Ok(Pushed { digest, subject: document.subject.map(|subject| subject.digest) })
    }

    fn push_changes(
        &self,
        name: &Repository,
        new: &NewManifest<'_>,
        document: &Document,
        digest: &Digest,
    ) -> Result<Vec<Change>, RegistryError> {
        let now = model::Timestamp::now().seconds();
        let size = new.bytes.len() as u64;
        let record = ManifestRecord {
            media: document.media.clone(),
            size,
            since: now,
            blobs: digests(&document.blobs),
            manifests: digests(&document.manifests),
            subject: document.subject.as_ref().map(|subject| subject.digest.clone()),
        };
        let name = name.as_str();
        let mut changes = vec![
            Change::Put(record::manifest_use_key(digest, name), "0".to_owned()),
            record::put(record::manifest_key(name, digest), &record)?,
        ];
        for blob in document.blobs.iter().filter(|_| !new.whole) {
            changes.push(record::put(record::wanted_key(name, &blob.digest), &blob.size)?);
        }
        if let Some(subject) = &document.subject {
            let referrer = Descriptor {
                annotations: document.annotations.clone(),
                artifact_type: document.artifact_type.clone(),
                ..Descriptor::new(&document.media, digest.clone(), size)
            };
            changes.push(record::put(record::referrer_key(name, &subject.digest, digest), &referrer)?);
        }
        let own = match new.reference {
            ManifestReference::Tag(tag) => Some(tag),
            ManifestReference::Digest(_) => None,
        };
        for tag in own.into_iter().chain(new.tags) {
            let tagged =
                TagRecord { digest: digest.clone(), since: now, checked: i64::from(!new.whole) * now };
            changes.push(record::put(record::tag_key(name, tag), &tagged)?);
        }
        if self.storage.record(&record::repository_key(name))?.is_none() {
            let repository = record::RepositoryRecord { since: now };
            changes.push(record::put(record::repository_key(name), &repository)?);
        }
        Ok(changes)
    }

    /// Everything named has to be in the repository.
    fn check_whole(&self, name: &Repository, document: &Document) -> Result<(), RegistryError> {
        let unknown = |digest: &Digest| RegistryError::ManifestBlobUnknown { digest: digest.clone() };
        for blob in &document.blobs {
            let key = record::link_key(name.as_str(), &blob.digest);
            let link: LinkRecord =
                record::read(&*self.storage, &key)?.ok_or_else(|| unknown(&blob.digest))?;
            check_size(blob, link.size)?;
        }
        for child in &document.manifests {
            let key = record::manifest_key(name.as_str(), &child.digest);
            let held: ManifestRecord =
                record::read(&*self.storage, &key)?.ok_or_else(|| unknown(&child.digest))?;
            check_size(child, held.size)?;
        }
        Ok(())
    }

    /// Takes away a tag, or a manifest with the tags that point to it.
    ///
    /// # Errors
    /// `ManifestUnknown` or `NameUnknown`, and when the storage fails.
    pub fn remove_manifest(
        &self,
        name: &Repository,
        reference: &ManifestReference,
    ) -> Result<(), RegistryError> {
        let _changing = self.repositories.hold(name);
        let changes = match reference {
            ManifestReference::Tag(tag) => {
                self.resolve(name, reference)?;
                vec![Change::Remove(record::tag_key(name.as_str(), tag))]
            }
            ManifestReference::Digest(digest) => {
                let found = record::read(&*self.storage, &record::manifest_key(name.as_str(), digest))?;
                let Some(found) = found else { return Err(self.unknown(name, digest.as_str())?) };
                self.removal(name, digest, &found)?
            }
        };
        self.storage.commit(changes)?;
        self.cache.forget(name.as_str());
        Ok(())
    }

    /// The changes that take a manifest away: first what points to it, then itself.
    pub(super) fn removal(
        &self,
        name: &Repository,
        digest: &Digest,
        manifest: &ManifestRecord,
    ) -> Result<Vec<Change>, RegistryError> {
        let tags: Vec<(String, TagRecord)> =
            record::list(&*self.storage, &record::tag_key(name.as_str(), ""))?;
        let pointing = tags.into_iter().filter(|(_, tag)| tag.digest == *digest);
        let mut changes: Vec<Change> =
            pointing.map(|(tag, _)| Change::Remove(record::tag_key(name.as_str(), &tag))).collect();
        if let Some(subject) = &manifest.subject {
            changes.push(Change::Remove(record::referrer_key(name.as_str(), subject, digest)));
        }
        changes.push(Change::Remove(record::manifest_key(name.as_str(), digest)));
        changes.push(Change::Remove(record::manifest_use_key(digest, name.as_str())));
        Ok(changes)
    }
}

fn digest_of(bytes: &[u8], reference: &ManifestReference) -> Result<Digest, RegistryError> {
    let algorithm = match reference {
        ManifestReference::Digest(wanted) => wanted.algorithm(),
        ManifestReference::Tag(_) => Algorithm::Sha256,
    };
    let mut digester = Digester::new(algorithm);
    digester.update(bytes);
    let found = digester.finish();
    match reference {
        ManifestReference::Digest(wanted) if *wanted != found => {
            Err(RegistryError::DigestMismatch { wanted: wanted.clone(), found })
        }
        _ => Ok(found),
    }
}

fn check_size(descriptor: &Descriptor, held: u64) -> Result<(), RegistryError> {
    if descriptor.size == held {
        return Ok(());
    }
    let (digest, claimed) = (descriptor.digest.clone(), descriptor.size);
    Err(RegistryError::DescriptorSize { digest, claimed, held })
}
