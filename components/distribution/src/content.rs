//! What a store of content has to do for this component.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use model::{ErrorKind, Kinded};
use oci::Digest;
use oci::image::Descriptor;

/// Keeps blobs under their digests.
pub trait Content: Send + Sync {
    /// Whether a blob is there.
    ///
    /// # Errors
    /// When it is there with another size.
    fn has(&self, blob: &Descriptor) -> Result<bool, ContentError>;

    /// The bytes of a document, verified.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    fn read(&self, digest: &Digest) -> Result<Vec<u8>, ContentError>;

    /// Opens a blob that is there.
    ///
    /// # Errors
    /// When it is not.
    fn open(&self, digest: &Digest) -> Result<File, ContentError>;

    /// Begins to take in a blob, or goes on where an earlier attempt stopped.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn take(&self, blob: &Descriptor, patience: Duration) -> Result<Take, ContentError>;
}

/// How taking in a blob begins.
pub enum Take {
    /// It is there.
    Present,
    /// It is ours to bring.
    Ours(Box<dyn Taking>),
    /// Somebody else is bringing it.
    Busy,
}

/// A blob that is coming in; dropped, what came stays for the next attempt.
pub trait Taking: Write + Send {
    /// Bytes that are there: where to go on.
    fn size(&self) -> u64;

    /// Throws away what is there.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn restart(&mut self) -> Result<(), ContentError>;

    /// A reader of the whole blob that waits for what is still to come.
    fn follow(&self) -> Box<dyn Read + Send>;

    /// Compares the digest and gives the blob its name.
    ///
    /// # Errors
    /// [`ContentError::Mismatch`] when it is another one; nothing of it is kept then.
    fn finish(self: Box<Self>) -> Result<(), ContentError>;
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The bytes are not those of the digest.
    #[error("{0}")]
    Mismatch(String),
    /// Anything else.
    #[error("{message}")]
    Failed {
        /// The class of the failure.
        kind: ErrorKind,
        /// Its text.
        message: String,
    },
}

impl ContentError {
    /// A store's own error.
    pub fn from_kinded(error: &(impl Kinded + 'static)) -> Self {
        Self::Failed { kind: error.kind(), message: model::error::chain(error) }
    }
}

impl Kinded for ContentError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Mismatch(_) => ErrorKind::Internal,
            Self::Failed { kind, .. } => *kind,
        }
    }
}
