//! What can go wrong with images, in Docker's words where Docker has some.

use std::path::PathBuf;

use model::{ErrorKind, Kinded};
use oci::Digest;
use store::StoreError;

/// A failed operation on images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no such image.
    #[error("No such image: {name}")]
    NotFound {
        /// What was asked for, with its tag.
        name: String,
    },
    /// The name is no image name.
    #[error(transparent)]
    Reference(#[from] oci::reference::ReferenceError),
    /// The last name of an image in use.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container {container} is using its \
         referenced image {image}"
    )]
    NameInUse {
        /// The name as it was given.
        name: String,
        /// Short id of a container.
        container: String,
        /// Short id of the image.
        image: String,
    },
    /// The image cannot be removed.
    #[error(
        "conflict: unable to delete {image} ({}) - {reason}",
        if *hard { "cannot be forced" } else { "must be forced" }
    )]
    InUse {
        /// Short id of the image.
        image: String,
        /// Force does not help either.
        hard: bool,
        /// Why.
        reason: String,
    },
    /// A name with a digest cannot be given.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// A blob is not there.
    #[error("content {digest} is missing")]
    MissingBlob {
        /// Its digest.
        digest: Digest,
    },
    /// Bytes do not have the digest they came under.
    #[error("content has digest {found}, expected {expected}")]
    Mismatch {
        /// What was said.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A blob ended too early.
    #[error("content {digest} has {found} bytes, expected {size}")]
    Short {
        /// What was said.
        digest: Digest,
        /// Bytes it should have.
        size: u64,
        /// Bytes that came.
        found: u64,
    },
    /// A document is larger than any honest one.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// The document.
        what: String,
        /// Bytes.
        limit: u64,
    },
    /// Something has more parts than any honest one.
    #[error("{what}: more than {limit}")]
    TooMany {
        /// What is too many.
        what: String,
        /// How many there may be.
        limit: usize,
    },
    /// A document is not what it should be.
    #[error("{what} is malformed")]
    Document {
        /// The document.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A document contradicts itself or another one.
    #[error("{what}: {reason}")]
    Inconsistent {
        /// The document.
        what: String,
        /// Why.
        reason: &'static str,
    },
    /// A document refers to something that no image of ours has.
    #[error("{what}: media type {media_type} is not supported")]
    MediaType {
        /// The document.
        what: String,
        /// The type.
        media_type: String,
    },
    /// The archive holds no image in any known form.
    #[error("unrecognized image format")]
    Unrecognized,
    /// Nothing for this machine in an index.
    #[error("image {id} does not provide the platform {platform}")]
    Platform {
        /// The index.
        id: Digest,
        /// What was wanted.
        platform: String,
    },
    /// An image is not here on the platform that is asked for.
    #[error("image with reference {name} was found but does not provide the specified platform ({platform})")]
    NoPlatform {
        /// The image as it was named.
        name: String,
        /// What was wanted.
        platform: String,
    },
    /// An image cannot be saved on the platform that is asked for.
    #[error(
        "no suitable export target found: image with reference {name} was found but does not provide the specified \
         platform ({platform})"
    )]
    NoExport {
        /// The image.
        name: String,
        /// What was wanted.
        platform: String,
    },
    /// The archive could not be read or written.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// A file operation failed.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The records could not be read or written.
    #[error("image records")]
    Store(#[from] StoreError),
}

impl Kinded for ImageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoPlatform { .. } | Self::NoExport { .. } => ErrorKind::NotFound,
            Self::NameInUse { .. } | Self::InUse { .. } => ErrorKind::Conflict,
            Self::Reference(_) | Self::TagWithDigest => ErrorKind::Invalid,
            Self::Mismatch { .. }
            | Self::Short { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::Document { .. }
            | Self::Inconsistent { .. }
            | Self::Platform { .. }
            | Self::MediaType { .. }
            | Self::Unrecognized => ErrorKind::Invalid,
            Self::Archive(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::MissingBlob { .. } | Self::File { .. } => ErrorKind::Internal,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, ImageError>;

/// Adds what was tried, and on which path, to an error of the operating system.
pub(crate) fn file_error(
    operation: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> ImageError {
    move |source| ImageError::File { operation, path: path.to_owned(), source }
}
