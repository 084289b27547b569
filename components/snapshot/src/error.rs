//! What can go wrong with layers and snapshots.

use std::path::PathBuf;

use model::{ErrorKind, Kinded};
use oci::Digest;

/// A failed operation on layers or snapshots.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is no such layer.
    #[error("layer {chain} does not exist")]
    NoLayer {
        /// Its chain id.
        chain: Digest,
    },
    /// There is no such snapshot.
    #[error("snapshot {key} does not exist")]
    NoSnapshot {
        /// Its key.
        key: String,
    },
    /// There is a snapshot of this key already.
    #[error("snapshot {key} exists already")]
    Exists {
        /// Its key.
        key: String,
    },
    /// The key could be a path.
    #[error("{key:?} is not a key for a snapshot")]
    Key {
        /// The key.
        key: String,
    },
    /// The layer's bytes could not be had.
    #[error("read layer {diff_id}")]
    Source {
        /// Its diff id.
        diff_id: Digest,
        /// Why.
        source: std::io::Error,
    },
    /// The layer could not be unpacked.
    #[error("failed to register layer")]
    Unpack {
        /// Why.
        source: archive::ArchiveError,
    },
    /// The layer could not be compared with its tar.
    #[error("compare layer {chain} with its content")]
    Compare {
        /// Its chain id.
        chain: Digest,
        /// Why.
        source: archive::ArchiveError,
    },
    /// The layer is below a snapshot.
    #[error("layer {chain} is in use by {key}")]
    LayerInUse {
        /// Its chain id.
        chain: Digest,
        /// The snapshot's key.
        key: String,
    },
    /// The index of a layer or a chain could not be made or read.
    #[error("failed to index layer {chain}")]
    Index {
        /// The chain id.
        chain: Digest,
        /// Why.
        source: erofs::ErofsError,
    },
    /// The driver asked for cannot work on this machine.
    #[error("storage driver {driver} is not supported: {why}")]
    Unsupported {
        /// Its name.
        driver: &'static str,
        /// Why.
        why: String,
    },
    /// The layer of a snapshot could not be written.
    #[error("write the changes of snapshot {key}")]
    WriteDiff {
        /// The key.
        key: String,
        /// Why.
        source: archive::ArchiveError,
    },
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
}

impl Kinded for SnapshotError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoLayer { .. } | Self::NoSnapshot { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::LayerInUse { .. } => ErrorKind::Conflict,
            Self::Key { .. } => ErrorKind::Invalid,
            Self::Index { source, .. } => source.kind(),
            _ => ErrorKind::Internal,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, SnapshotError>;

/// Adds what was tried, and on which path, to an error of the operating system.
pub(crate) fn file_error<E: Into<std::io::Error>>(
    operation: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(E) -> SnapshotError {
    move |error| SnapshotError::File { operation, path: path.to_owned(), source: error.into() }
}
