//! Why a folder cannot be read as a context.

use std::io;
use std::path::{Path, PathBuf};

use archive::ArchiveError;
use model::{ErrorKind, Kinded};

use crate::IgnoreError;

/// A context could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is no such folder.
    #[error("path {:?} not found", path.display().to_string())]
    Missing {
        /// The path asked for.
        path: PathBuf,
    },
    /// It is something else than a folder.
    #[error("context must be a directory: {}", path.display())]
    NoDirectory {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file or folder of it may not be read.
    #[error("error checking context: no permission to read from '{}'", path.display())]
    Denied {
        /// Where, with the context's own path in front.
        path: PathBuf,
    },
    /// A file or folder of it could not be read.
    #[error("error checking context: {operation} {}", path.display())]
    Read {
        /// What was tried.
        operation: &'static str,
        /// Where, with the context's own path in front.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More than a limit allows.
    #[error("error checking context: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The ignore file is wrong.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
    /// The archive could not be written.
    #[error("send the context")]
    Write(#[source] ArchiveError),
}

impl Kinded for ContextError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::NoDirectory { .. } | Self::Limit { .. } | Self::Ignore(_) => ErrorKind::Invalid,
            Self::Denied { .. } => ErrorKind::Forbidden,
            Self::Read { .. } => ErrorKind::Internal,
            Self::Write(error) => error.kind(),
        }
    }
}

impl ContextError {
    /// For something at a path that could not be read.
    pub(crate) fn read(operation: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |error| match error {
            rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => Self::Denied { path: path.to_owned() },
            error => Self::Read { operation, path: path.to_owned(), source: error.into() },
        }
    }
}
