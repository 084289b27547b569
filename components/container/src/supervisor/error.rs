//! What can go wrong between the engine and a shim.

use std::path::PathBuf;

use model::{ErrorKind, Kinded};
use rustix::io::Errno;
use shim_protocol::{Failure, FrameError};

/// A shim could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The shim program can't be read.
    #[error("the shim program {path} can't be read")]
    Binary {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The container's directory can't be made or read.
    #[error("the directory {path} can't be used")]
    Directory {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// No process or descriptor could be had.
    #[error("the shim can't be started")]
    Spawn(#[source] std::io::Error),
    /// The kernel refused something the supervisor needs.
    #[error("the shim can't be watched")]
    Watch(#[source] Errno),
    /// No shim is there for the container.
    #[error("container {id} has no shim")]
    NoShim {
        /// The container.
        id: String,
    },
    /// A shim is there already.
    #[error("container {id} has a shim already")]
    Exists {
        /// The container.
        id: String,
    },
    /// The shim went away before it answered.
    #[error("the shim of container {id} is gone")]
    Gone {
        /// The container.
        id: String,
    },
    /// The shim did not answer in time.
    #[error("the shim of container {id} does not answer")]
    Deadline {
        /// The container.
        id: String,
    },
    /// The request did not get across.
    #[error("the shim can't be asked")]
    Frame(#[source] FrameError),
    /// The shim answered something that does not fit.
    #[error("the shim of container {id} gave a wrong answer")]
    WrongAnswer {
        /// The container.
        id: String,
    },
    /// The shim refused or failed; its text is for people.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl Kinded for ShimError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(failure) => failure.kind(),
            Self::NoShim { .. } | Self::Exists { .. } => ErrorKind::Conflict,
            Self::Deadline { .. } | Self::Gone { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        }
    }
}
