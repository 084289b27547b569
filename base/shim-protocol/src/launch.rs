//! Everything a shim needs to make a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One container to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Create {
    /// The container's id.
    pub id: String,
    /// The OCI configuration; `root.path` is not used, `process.terminal` decides about a pty.
    pub spec: oci::runtime::Spec,
    /// Where the root file system comes from.
    pub rootfs: Rootfs,
    /// A network namespace comes with the request and is joined; otherwise the configuration decides.
    pub netns: bool,
    /// Where output is recorded.
    pub log: LogTarget,
    /// Standard input stays open for attached clients; otherwise it is /dev/null.
    pub open_stdin: bool,
    /// Standard input ends with the first attached client's.
    pub stdin_once: bool,
    /// Run wharf's own init as process 1, which reaps orphans and forwards signals.
    pub init: bool,
    /// Start at once, without waiting for `Start`.
    pub start: bool,
}

/// Where a root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// A directory on the host.
    Directory(PathBuf),
    /// An overlay mounted only inside the container's mount namespace.
    Overlay(Overlay),
}

/// Layers of an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overlay {
    /// Read-only trees on the host, topmost first.
    pub lower: Vec<PathBuf>,
    /// Below them comes a detached mount with the request, of this file; none when the trees are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<PathBuf>,
    /// The tree that takes changes; none makes the root read-only.
    pub upper: Option<PathBuf>,
    /// Overlayfs's work directory, on the same file system as `upper`.
    pub work: Option<PathBuf>,
    /// Never sync: for containers whose changes die with them.
    pub volatile: bool,
}

/// Where output is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    /// Nowhere.
    None,
    /// Docker's `json-file` format.
    JsonFile {
        /// The log file.
        path: PathBuf,
        /// When to start a new file.
        rotation: Rotation,
        /// Extra attributes for each line.
        attributes: BTreeMap<String, String>,
    },
    /// The `local` driver's compact format.
    Local {
        /// The log file.
        path: PathBuf,
        /// When to start a new file.
        rotation: Rotation,
    },
}

/// When a log file is put aside, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Bytes after which a new file is begun; none never begins one.
    pub max_size: Option<u64>,
    /// Files kept, the present one included.
    pub max_files: u32,
    /// Compress files that were put aside.
    pub compress: bool,
}
