//! Blobs of repositories: looking, reading, uploading, mounting, removing.

use std::io::Read;

use oci::digest::{Algorithm, Digest};

use super::Registry;
use super::record::{self, LinkRecord, ManifestRecord};
use super::upload::Upload;
use crate::RegistryError;
use crate::name::Repository;
use crate::storage::{Blob, Content, StorageError};

/// A chunk or whole body as it comes in.
pub struct Incoming<'b> {
    /// The bytes.
    pub body: &'b mut dyn Read,
    /// How many there will be, when that was said.
    pub announced: Option<u64>,
    /// The place of the first byte, when that was said.
    pub start: Option<u64>,
}

/// An upload has become a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What came of asking for a blob of another repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounted {
    /// It is there now.
    Done,
    /// The other repository has no such blob.
    Missing,
}

impl Registry {
    /// The size of a blob of a repository. Whoever asks may rely on it for the time of grace.
    ///
    /// # Errors
    /// `BlobUnknown`, and when the storage fails.
    pub fn stat_blob(&self, name: &Repository, digest: &Digest) -> Result<u64, RegistryError> {
        let _here = self.blobs.hold(digest);
        let link = self.link(name, digest)?;
        self.leases.renew(name.as_str(), digest);
        Ok(link.size)
    }

    /// Opens a blob of a repository.
    ///
    /// # Errors
    /// `BlobUnknown`, and when the storage fails.
    pub fn open_blob(&self, name: &Repository, digest: &Digest) -> Result<Blob, RegistryError> {
        self.link(name, digest)?;
        let missing = || StorageError::Damaged { what: digest.to_string() };
        Ok(self.storage.open_blob(digest)?.ok_or_else(missing)?)
    }

    pub(super) fn link(&self, name: &Repository, digest: &Digest) -> Result<LinkRecord, RegistryError> {
        let found = record::read(&*self.storage, &record::link_key(name.as_str(), digest))?;
        found.ok_or_else(|| RegistryError::BlobUnknown { digest: digest.clone() })
    }

    /// Begins an upload; returns its id.
    ///
    /// # Errors
    /// `TooManyRequests` when too many are open, and when the disk fails.
    pub fn begin_upload(&self, name: &Repository, algorithm: Algorithm) -> Result<String, RegistryError> {
        self.uploads.begin(name, algorithm)
    }

    /// The bytes an upload holds.
    ///
    /// # Errors
    /// `UploadUnknown`.
    pub fn upload_size(&self, name: &Repository, id: &str) -> Result<u64, RegistryError> {
        self.uploads.with(name, id, |upload| Ok(upload.size()))
    }

    /// Adds a chunk; returns the bytes held then.
    ///
    /// # Errors
    /// `UploadUnknown`, `UploadRange` when the chunk begins elsewhere than at the end, `Client` when it breaks off.
    pub fn append_upload(
        &self,
        name: &Repository,
        id: &str,
        incoming: Incoming<'_>,
    ) -> Result<u64, RegistryError> {
        self.uploads.with(name, id, |upload| {
            check_start(upload, incoming.start)?;
            upload.append(incoming.body, incoming.announced)?;
            Ok(upload.size())
        })
    }

    /// Adds the last chunk and makes the upload a blob, durable at return.
    ///
    /// # Errors
    /// As for [`Registry::append_upload`], and `DigestMismatch`, after which the upload is gone.
    pub fn finish_upload(
        &self,
        name: &Repository,
        id: &str,
        wanted: &Digest,
        incoming: Incoming<'_>,
    ) -> Result<Finished, RegistryError> {
        self.uploads.with(name, id, |upload| {
            check_start(upload, incoming.start)?;
            upload.append(incoming.body, incoming.announced)?;
            let result = upload.check(wanted).and_then(|()| self.adopt(name, wanted, upload.content()?));
            if matches!(result, Ok(_) | Err(RegistryError::DigestMismatch { .. })) {
                upload.end();
            }
            result
        })
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// `UploadUnknown`.
    pub fn cancel_upload(&self, name: &Repository, id: &str) -> Result<(), RegistryError> {
        self.uploads.with(name, id, |upload| {
            upload.end();
            Ok(())
        })
    }

    /// Writes uploads that are in memory to the disk, so that they go on after the end of this process.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep_uploads(&self) -> Result<(), RegistryError> {
        self.uploads.keep()
    }

    /// Stores verified bytes, unless they are there already, and links them.
    fn adopt(
        &self,
        name: &Repository,
        digest: &Digest,
        content: Content<'_>,
    ) -> Result<Finished, RegistryError> {
        let size = match content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_, size) => size,
        };
        let mut changes = record::link_changes(name, digest, size)?;
        changes.extend(self.repository_change(name)?);
        let _coming = self.blobs.hold(digest);
        match self.storage.blob_size(digest)? {
            Some(held) if held == size => self.storage.commit(changes)?,
            _ => self.storage.put_blob(digest, content, changes)?,
        }
        Ok(Finished { digest: digest.clone(), size })
    }

    /// Links a blob of another repository.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn mount_blob(
        &self,
        name: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, RegistryError> {
        let _coming = self.blobs.hold(digest);
        let link = match self.link(from, digest) {
            Ok(link) => link,
            Err(RegistryError::BlobUnknown { .. }) => return Ok(Mounted::Missing),
            Err(error) => return Err(error),
        };
        let mut changes = record::link_changes(name, digest, link.size)?;
        changes.extend(self.repository_change(name)?);
        self.storage.commit(changes)?;
        Ok(Mounted::Done)
    }

    /// Takes a blob out of a repository; its bytes go with the next collection. One that a manifest of the repository
    /// names stays.
    ///
    /// # Errors
    /// `BlobUnknown`, `Unsupported` while a manifest names it, and when the storage fails.
    pub fn remove_blob(&self, name: &Repository, digest: &Digest) -> Result<(), RegistryError> {
        let _changing = self.repositories.hold(name);
        self.link(name, digest)?;
        let manifests: Vec<(String, ManifestRecord)> =
            record::list(&*self.storage, &record::manifest_prefix(name.as_str()))?;
        if manifests.iter().any(|(_, manifest)| manifest.blobs.contains(digest)) {
            let reason = "a manifest of the repository names the blob".to_owned();
            return Err(RegistryError::Unsupported { reason });
        }
        let _going = self.blobs.hold(digest);
        Ok(self.storage.commit(record::unlink_changes(name, digest))?)
    }
}

fn check_start(upload: &Upload, start: Option<u64>) -> Result<(), RegistryError> {
    if start.is_some_and(|start| start != upload.size()) {
        return Err(RegistryError::UploadRange { size: upload.size() });
    }
    Ok(())
}
