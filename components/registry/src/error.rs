//! What can go wrong in a registry, with the codes of the distribution specification.

use model::{ErrorKind, Kinded};
use oci::digest::{Digest, DigestError};

use crate::storage::StorageError;

/// Error codes that clients read: the fourteen of the specification, and two that registries add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// No such blob in the repository.
    BlobUnknown,
    /// A chunk or upload can't be taken.
    BlobUploadInvalid,
    /// No such upload.
    BlobUploadUnknown,
    /// The digest is none, or the bytes have another.
    DigestInvalid,
    /// A manifest names what the repository does not have.
    ManifestBlobUnknown,
    /// A manifest can't be taken.
    ManifestInvalid,
    /// No such manifest or tag.
    ManifestUnknown,
    /// The name of the repository is none.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// A length contradicts another.
    SizeInvalid,
    /// Who asks has to say who it is.
    Unauthorized,
    /// Who asks may not do this.
    Denied,
    /// This is never done here.
    Unsupported,
    /// Too much at once.
    TooManyRequests,
    /// A page size that is no number (an addition of the distribution project).
    PaginationNumberInvalid,
    /// The fault is the registry's.
    Unknown,
}

impl Code {
    /// The code as it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A request that can't be fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The repository has no such blob.
    #[error("blob unknown to registry")]
    BlobUnknown {
        /// What was asked for.
        digest: Digest,
    },
    /// An upload or chunk has the wrong form.
    #[error("blob upload invalid: {reason}")]
    UploadInvalid {
        /// Why.
        reason: String,
    },
    /// A chunk does not begin where the last one ended.
    #[error("blob upload invalid: the next byte is {size}")]
    UploadRange {
        /// Bytes held.
        size: u64,
    },
    /// No such upload in the repository.
    #[error("blob upload unknown to registry")]
    UploadUnknown,
    /// A text is no digest.
    #[error("provided digest did not match uploaded content")]
    DigestForm(#[from] DigestError),
    /// The bytes have another digest.
    #[error("provided digest did not match uploaded content")]
    DigestMismatch {
        /// What was promised.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// A manifest names what is not there.
    #[error("manifest references a manifest or blob unknown to registry")]
    ManifestBlobUnknown {
        /// The first of the missing.
        digest: Digest,
    },
    /// A manifest's size for a blob is not the blob's.
    #[error("provided length did not match content length")]
    DescriptorSize {
        /// Which blob.
        digest: Digest,
        /// What the manifest says.
        claimed: u64,
        /// What it has.
        held: u64,
    },
    /// A manifest has the wrong form.
    #[error("manifest invalid: {reason}")]
    ManifestInvalid {
        /// Why.
        reason: String,
    },
    /// A manifest is over the limit.
    #[error("manifest invalid: more than {limit} bytes")]
    ManifestTooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// No such manifest or tag.
    #[error("manifest unknown to registry")]
    ManifestUnknown {
        /// The tag or digest.
        reference: String,
    },
    /// The text is no name of a repository.
    #[error("invalid repository name")]
    NameInvalid {
        /// The text.
        name: String,
    },
    /// No such repository.
    #[error("repository name not known to registry")]
    NameUnknown {
        /// Its name.
        name: String,
    },
    /// Fewer or more bytes than the length header said.
    #[error("provided length did not match content length")]
    SizeInvalid,
    /// Nobody said who asks, or what was said is wrong.
    #[error("authentication required")]
    Unauthorized {
        /// The value of `WWW-Authenticate`.
        challenge: String,
    },
    /// The caller has no right to this.
    #[error("requested access to the resource is denied")]
    Denied {
        /// What for.
        reason: String,
    },
    /// Not done here, or not any more.
    #[error("the operation is unsupported: {reason}")]
    Unsupported {
        /// Why.
        reason: String,
    },
    /// A page size that is no number.
    #[error("invalid number of results requested")]
    PageSize,
    /// A limit on simultaneous work is reached.
    #[error("too many requests")]
    TooManyRequests,
    /// The registry this one mirrors gave no usable answer.
    #[error("the upstream registry failed: {reason}")]
    Upstream {
        /// Why, without addresses and secrets.
        reason: String,
    },
    /// The storage failed.
    #[error("storage failed")]
    Storage(#[from] StorageError),
    /// The client's bytes stopped coming.
    #[error("the client's body ended early")]
    Client(#[source] std::io::Error),
}

impl RegistryError {
    /// The code a client reads.
    pub fn code(&self) -> Code {
        match self {
            Self::BlobUnknown { .. } => Code::BlobUnknown,
            Self::UploadInvalid { .. } | Self::UploadRange { .. } => Code::BlobUploadInvalid,
            Self::UploadUnknown => Code::BlobUploadUnknown,
            Self::DigestForm(_) | Self::DigestMismatch { .. } => Code::DigestInvalid,
            Self::ManifestBlobUnknown { .. } => Code::ManifestBlobUnknown,
            Self::ManifestInvalid { .. } => Code::ManifestInvalid,
            Self::ManifestUnknown { .. } => Code::ManifestUnknown,
            Self::NameInvalid { .. } => Code::NameInvalid,
            Self::NameUnknown { .. } => Code::NameUnknown,
            Self::ManifestTooLarge { .. }
            | Self::DescriptorSize { .. }
            | Self::SizeInvalid
            | Self::Client(_) => Code::SizeInvalid,
            Self::Unauthorized { .. } => Code::Unauthorized,
            Self::Denied { .. } => Code::Denied,
            Self::Unsupported { .. } => Code::Unsupported,
            Self::PageSize => Code::PaginationNumberInvalid,
            Self::TooManyRequests => Code::TooManyRequests,
            Self::Upstream { .. } | Self::Storage(_) => Code::Unknown,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            // Too slow; everything else that breaks off is nobody's to hear.
            Self::Client(error) if error.kind() == std::io::ErrorKind::TimedOut => 408,
            Self::BlobUnknown { .. }
            | Self::UploadUnknown
            | Self::ManifestUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::NameUnknown { .. } => 404,
            Self::UploadInvalid { .. }
            | Self::DigestForm(_)
            | Self::DigestMismatch { .. }
            | Self::DescriptorSize { .. }
            | Self::ManifestInvalid { .. }
            | Self::NameInvalid { .. }
            | Self::PageSize
            | Self::SizeInvalid
            | Self::Client(_) => 400,
            Self::UploadRange { .. } => 416,
            Self::ManifestTooLarge { .. } => 413,
            Self::Unauthorized { .. } => 401,
            Self::Denied { .. } => 403,
            Self::Unsupported { .. } => 405,
            Self::TooManyRequests => 429,
            Self::Upstream { .. } => 502,
            Self::Storage(_) => 500,
        }
    }

    /// The `detail` of the error document: what the caller gave, never anything of the machine.
    pub fn detail(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::BlobUnknown { digest } | Self::ManifestBlobUnknown { digest } => {
                json!({"digest": digest.as_str()})
            }
            Self::DigestForm(error) => json!({"reason": error.to_string()}),
            Self::DigestMismatch { wanted, found } => {
                json!({"digest": wanted.as_str(), "content": found.as_str()})
            }
            Self::DescriptorSize { digest, claimed, held } => {
                json!({"digest": digest.as_str(), "size": claimed, "content": held})
            }
            Self::ManifestUnknown { reference } => json!({"reference": reference}),
            Self::NameInvalid { name } | Self::NameUnknown { name } => json!({"name": name}),
            Self::Denied { reason } => json!({"reason": reason}),
            _ => serde_json::Value::Null,
        }
    }
}

impl Kinded for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self.status() {
            404 => ErrorKind::NotFound,
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            405 => ErrorKind::NotImplemented,
            429 | 502 => ErrorKind::Unavailable,
            500 => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}
