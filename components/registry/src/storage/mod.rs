//! Where a registry's bytes are: records by key and blobs by digest, behind one trait.
//!
//! A record is a short JSON text. Keys are sorted, made of printable ASCII, and divided into kinds by their first
//! word (see `registry/record.rs`). A driver makes changes durable before it answers.

pub mod contract;
mod local;
mod s3;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use model::{ErrorKind, Kinded};
use oci::digest::Digest;

pub use local::{LocalStorage, SMALL};
pub use s3::{S3, S3Storage};

/// A failed operation of a storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The records could not be read or written.
    #[error("records")]
    Records(#[from] store::StoreError),
    /// A file could not be read or written.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A record or blob is not what its key says.
    #[error("{what} is damaged")]
    Damaged {
        /// The key or digest.
        what: String,
    },
    /// A remote storage did not do what was asked.
    #[error("{operation}: {reason}")]
    Remote {
        /// What was asked.
        operation: &'static str,
        /// What it answered.
        reason: String,
    },
}

impl Kinded for StorageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Remote { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        }
    }
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets it to a JSON text.
    Put(String, String),
    /// Takes it away; a missing one is no error.
    Remove(String),
}

/// The bytes of a new blob.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// In a file of so many bytes, which the driver may move away.
    File(&'a Path, u64),
}

/// Opens a part of a remote blob.
pub type OpenRange = Box<dyn FnOnce(Range<u64>) -> Result<Box<dyn Read + Send>, StorageError> + Send>;

/// A stored blob, ready to be read.
pub enum Blob {
    /// In memory.
    Bytes(Vec<u8>),
    /// A file of so many bytes, which the kernel can send.
    File(File, u64),
    /// So many bytes somewhere else.
    Remote(u64, OpenRange),
}

impl Blob {
    /// The number of its bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) | Self::Remote(size, _) => *size,
        }
    }

    /// All bytes, if there are at most `limit`.
    ///
    /// # Errors
    /// When there are more, or reading fails.
    pub fn read_all(self, limit: u64) -> Result<Vec<u8>, StorageError> {
        let size = self.size();
        let failed = |source| StorageError::File { operation: "read", path: "a blob".into(), source };
        if size > limit {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        match self {
            Self::Bytes(held) => return Ok(held),
            Self::File(mut file, _) => file.read_to_end(&mut bytes).map_err(failed)?,
            Self::Remote(_, open) => open(0..size)?.take(limit).read_to_end(&mut bytes).map_err(failed)?,
        };
        Ok(bytes)
    }
}

/// A blob as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Which one.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Seconds since the epoch when it came.
    pub since: i64,
}

/// A place for records and blobs. One process owns it at a time.
pub trait Storage: Send + Sync {
    /// The record of a key.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn record(&self, key: &str) -> Result<Option<String>, StorageError>;

    /// Keys and records with a prefix, in key order.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn records(&self, prefix: &str) -> Result<Vec<(String, String)>, StorageError>;

    /// Keys with a prefix, in order.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn keys(&self, prefix: &str) -> Result<Vec<String>, StorageError>;

    /// Makes changes, durable at return: all of them or, after a crash, the first few.
    ///
    /// # Errors
    /// When the storage can't be written.
    fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError>;

    /// Stores a blob, then makes changes that rely on it; all durable at return.
    ///
    /// # Errors
    /// When the storage can't be written.
    fn put_blob(
        &self,
        digest: &Digest,
        content: Content<'_>,
        changes: Vec<Change>,
    ) -> Result<(), StorageError>;

    /// The size of a blob.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StorageError>;

    /// Opens a blob.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StorageError>;

    /// Takes a blob away; a missing one is no error.
    ///
    /// # Errors
    /// When the storage can't be written.
    fn remove_blob(&self, digest: &Digest) -> Result<(), StorageError>;

    /// All blobs.
    ///
    /// # Errors
    /// When the storage can't be read.
    fn blobs(&self) -> Result<Vec<Stored>, StorageError>;
}
