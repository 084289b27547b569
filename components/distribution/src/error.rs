//! What goes wrong between registries and the store.

use model::{ErrorKind, Kinded};
use registry_client::RegistryError;

use crate::content::ContentError;
use crate::document::DocumentError;

/// A failed resolve, fetch or push.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A document is not taken.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A blob stopped coming.
    #[error("{0}")]
    Broken(#[source] std::io::Error),
    /// There is nothing for the platform.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform {
        /// What was wanted.
        platform: String,
    },
    /// The image that is there for the name is for another platform.
    #[error(
        "image with reference {reference} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
    )]
    OtherPlatform {
        /// The name.
        reference: String,
        /// What was asked for.
        wanted: String,
        /// What it is.
        actual: String,
    },
    /// Whoever asked is gone.
    #[error("context canceled")]
    Cancelled,
}

impl Kinded for DistributionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Document(error) => error.kind(),
            Self::NoPlatform { .. } | Self::OtherPlatform { .. } => ErrorKind::NotFound,
            Self::Broken(_) => ErrorKind::Unavailable,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, DistributionError>;
