//! What is not possible in a container's present state, in Docker's words.

use model::{ErrorKind, Kinded};

/// A step or a call that is not possible in the present state, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Needs a running container.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container's id.
        id: String,
    },
    /// It runs already.
    #[error("container {id} is already running")]
    AlreadyRunning {
        /// The container's id.
        id: String,
    },
    /// It is stopped already.
    #[error("container {id} is already stopped")]
    AlreadyStopped {
        /// The container's id.
        id: String,
    },
    /// Needs a container that is not paused.
    #[error("Container {id} is already paused")]
    AlreadyPaused {
        /// The container's id.
        id: String,
    },
    /// Needs a paused container.
    #[error("Container {id} is not paused")]
    NotPaused {
        /// The container's id.
        id: String,
    },
    /// A start needs it to be resumed first.
    #[error("cannot start a paused container, try unpause instead")]
    StartPaused,
    /// A restart is pending.
    #[error("Container {id} is restarting, wait until the container is running")]
    Restarting {
        /// The container's id.
        id: String,
    },
    /// An exec needs it to be resumed first.
    #[error("Container {name} is paused, unpause the container before exec")]
    ExecPaused {
        /// As the user named it.
        name: String,
    },
    /// An attach needs it to be resumed first.
    #[error("container {name} is paused, unpause the container before attach")]
    AttachPaused {
        /// As the user named it.
        name: String,
    },
    /// An attach needs a pending restart to be over.
    #[error("container {name} is restarting, wait until the container is running")]
    AttachRestarting {
        /// As the user named it.
        name: String,
    },
    /// Removal of something that runs.
    #[error(
        "cannot remove container \"/{name}\": container is {state}: stop the container before removing or force remove"
    )]
    RemoveRunning {
        /// The container's name.
        name: String,
        /// `running` or `restarting`.
        state: &'static str,
    },
    /// Removal of something paused.
    #[error("cannot remove container \"/{name}\": container is paused and must be unpaused first")]
    RemovePaused {
        /// The container's name.
        name: String,
    },
    /// It is being removed already.
    #[error("removal of container {name} is already in progress")]
    RemovalInProgress {
        /// As the user named it.
        name: String,
    },
    /// A start needs it not to be going away.
    #[error("container is marked for removal and cannot be started")]
    MarkedForRemoval,
    /// An attach or exec needs it not to be going away.
    #[error("container {id} is marked for removal and cannot be {verb}")]
    Going {
        /// The container's id.
        id: String,
        /// `started`, `updated`, ...
        verb: &'static str,
    },
}

impl Kinded for Refusal {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyRunning { .. } | Self::AlreadyStopped { .. } => ErrorKind::NotModified,
            _ => ErrorKind::Conflict,
        }
    }
}
