//! The state document.

use std::collections::BTreeMap;

use super::document;

document! {
    /// What `state` prints and hooks read.
    pub struct State {
        always {
            /// Specification version.
            pub oci_version: String,
            /// The container's id.
            pub id: String,
            /// Where it is in its life.
            pub status: Status,
            /// The bundle's directory.
            pub bundle: String,
        }
        omit {
            /// Process id of the init process in the runtime's namespace.
            pub pid: i32,
            /// The configuration's annotations.
            pub annotations: BTreeMap<String, String>,
        }
    }
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    #[default]
    Creating,
    /// Made, the process not yet executed.
    Created,
    /// The process runs.
    Running,
    /// Frozen (an extension of runc that clients know).
    Paused,
    /// The process has ended.
    Stopped,
}

impl Status {
    /// The word in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
