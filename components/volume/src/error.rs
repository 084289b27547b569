//! What can go wrong with volumes, in Docker's words.

use std::path::PathBuf;

use model::{ErrorKind, Kinded};
use store::StoreError;

/// A failed operation on volumes.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is no such volume.
    #[error("get {name}: no such volume")]
    NotFound {
        /// The name.
        name: String,
    },
    /// Containers use it.
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse {
        /// The name.
        name: String,
        /// Ids of the containers.
        users: Vec<String>,
    },
    /// The name has other letters than a name may have.
    #[error(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    NameCharacters {
        /// The name.
        name: String,
    },
    /// The name has one letter.
    #[error("create {name}: volume name is too short, names should be at least two alphanumeric characters")]
    NameShort {
        /// The name.
        name: String,
    },
    /// Another driver than `local`.
    #[error("create {name}: error looking up volume plugin {driver}: plugin {driver:?} not found")]
    Driver {
        /// The volume's name.
        name: String,
        /// The driver.
        driver: String,
    },
    /// An option `local` does not have.
    #[error("create {name}: invalid option: {option:?}")]
    Option {
        /// The volume's name.
        name: String,
        /// The option.
        option: String,
    },
    /// An option that another one needs.
    #[error("create {name}: missing required option: {option:?}")]
    MissingOption {
        /// The volume's name.
        name: String,
        /// The option.
        option: &'static str,
    },
    /// A size limit; there are no quotas.
    #[error("create {name}: quota size requested but no quota support")]
    Quota {
        /// The volume's name.
        name: String,
    },
    /// Its data could not be filled from the image.
    #[error("fill volume {name}")]
    Prefill {
        /// The volume's name.
        name: String,
        /// Why.
        source: std::io::Error,
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
    /// The records could not be read or written.
    #[error("volume records")]
    Store(#[from] StoreError),
}

impl Kinded for VolumeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::Driver { .. } => ErrorKind::NotFound,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::NameCharacters { .. }
            | Self::NameShort { .. }
            | Self::Option { .. }
            | Self::MissingOption { .. }
            | Self::Quota { .. } => ErrorKind::Invalid,
            Self::Prefill { .. } | Self::File { .. } => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, VolumeError>;
