//! What can go wrong with archives.

use std::io;
use std::path::PathBuf;

use model::{ErrorKind, Kinded};

/// A failed operation on an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream could not be read.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// The stream could not be written.
    #[error("write the archive")]
    Write(#[source] io::Error),
    /// The stream ends within an entry.
    #[error("unexpected EOF")]
    Truncated,
    /// A header is not tar.
    #[error("archive/tar: invalid tar header")]
    Header,
    /// A header says something impossible.
    #[error("invalid {what} in the archive")]
    Field {
        /// What it is.
        what: &'static str,
    },
    /// More than a limit allows.
    #[error("the archive exceeds the limit on {what} ({limit})")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// An entry would be outside of the target.
    #[error("invalid entry {}: outside of the destination", path.display())]
    Outside {
        /// The entry's name.
        path: PathBuf,
    },
    /// A directory would replace something else, or something else a directory, which was forbidden.
    #[error("{}", if *directory {
        format!("cannot overwrite non-directory {:?} with directory {:?}", existing.display(), path.display())
    } else {
        format!("cannot overwrite directory {:?} with non-directory {:?}", existing.display(), path.display())
    })]
    Overwrite {
        /// What is there.
        existing: PathBuf,
        /// The entry.
        path: PathBuf,
        /// Whether the entry is a directory.
        directory: bool,
    },
    /// An entry could not be made.
    #[error("{operation} {}", path.display())]
    Entry {
        /// What was tried.
        operation: &'static str,
        /// The entry's path below the target.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the tree could not be read.
    #[error("{operation} {}", path.display())]
    Tree {
        /// What was tried.
        operation: &'static str,
        /// The path below the root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The stream is compressed in a way that is not known or is damaged.
    #[error("decompress the archive")]
    Compression(#[source] io::Error),
    /// The worker thread could not be started.
    #[error("start a worker")]
    Worker(#[source] io::Error),
}

impl Kinded for ArchiveError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Truncated
            | Self::Header
            | Self::Field { .. }
            | Self::Limit { .. }
            | Self::Outside { .. }
            | Self::Overwrite { .. }
            | Self::Compression(_) => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        }
    }
}

/// What the functions of this crate answer.
pub type Result<T> = std::result::Result<T, ArchiveError>;

/// An error as one of reading and writing, for code behind `Read` and `Write`.
impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Read(error) | ArchiveError::Write(error) => error,
            ArchiveError::Truncated => Self::new(io::ErrorKind::UnexpectedEof, error),
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}
