//! What can go wrong in a store.

use std::path::PathBuf;

use model::{ErrorKind, Kinded};

/// Cause of a failure inside the database library or the operating system.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of the database cannot be made or entered.
    #[error("prepare the state directory {}", path.display())]
    Prepare {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the database open.
    #[error("the state database {} is in use by another process", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The database cannot be read; it is left as it is.
    #[error(
        "the state database {} cannot be read and was left untouched; move it away to start with an empty one",
        path.display()
    )]
    Unreadable {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// The database turned out to be damaged while it was used.
    #[error(
        "the state database {} is damaged; put a copy in its place, or move it away to start with an empty one",
        path.display()
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
    },
    /// A read failed.
    #[error("read table {table}")]
    Read {
        /// The table.
        table: String,
        /// Why.
        source: Cause,
    },
    /// The disk is full; nothing of the commit is visible.
    #[error("write the state database {}: no space left on device", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// A commit failed; nothing of it is visible.
    #[error("write the state database: {message}")]
    Write {
        /// Why; several transactions may share one failed commit.
        message: String,
    },
    /// The store was closed.
    #[error("the state database is closed")]
    Closed,
    /// A value is not what its table says.
    #[error("the record {key:?} in table {table} cannot be decoded")]
    Decode {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// Why.
        source: Cause,
    },
    /// A value was written by a newer release.
    #[error("the record {key:?} in table {table} has version {found}, this release knows {known}")]
    Newer {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// Version of the record.
        found: u32,
        /// Newest version this release reads.
        known: u32,
    },
    /// A value cannot be written as JSON.
    #[error("the record {key:?} for table {table} cannot be encoded")]
    Encode {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// Why.
        source: Cause,
    },
    /// A file operation failed.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Kinded for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Closed | Self::InUse { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        }
    }
}
