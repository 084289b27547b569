//! Why a folder could not be had.

use std::path::PathBuf;

use grpc::Status;
use linux::Errno;
use model::error::{ErrorKind, Kinded};

/// A failure to get a folder.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The client failed, is gone, or the call was cancelled.
    #[error("{0}")]
    Peer(#[source] Status),
    /// The client says that it failed.
    #[error("error from sender: {0}")]
    Sender(String),
    /// The client breaks the rules.
    #[error("the client sends {what}: {path:?}")]
    Refused {
        /// What is wrong.
        what: &'static str,
        /// Where.
        path: String,
    },
    /// A limit was reached.
    #[error("the client sends more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// The directory cannot be written.
    #[error("{action} {path:?}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Where, below the directory.
        path: PathBuf,
        /// Why not.
        source: Errno,
    },
}

impl Kinded for SyncError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Peer(status) => status.kind(),
            Self::Sender(_) | Self::Refused { .. } | Self::TooMuch { .. } => ErrorKind::Invalid,
            Self::Disk { .. } => ErrorKind::Internal,
        }
    }
}
