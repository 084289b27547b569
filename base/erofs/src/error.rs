//! What can go wrong with an image.

use model::{ErrorKind, Kinded};

/// A tree that cannot be written or an image that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErofsError {
    /// More than the format or the machine's memory can take.
    #[error("the tree exceeds the limit on {what} ({limit})")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The image is not what [`crate::write`] makes.
    #[error("the image is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
}

impl Kinded for ErofsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Limit { .. } => ErrorKind::Invalid,
            Self::Damaged { .. } => ErrorKind::Internal,
        }
    }
}
