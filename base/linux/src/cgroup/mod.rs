//! Control groups: limits, freezing, killing, statistics and out-of-memory events of a container's processes.
//!
//! [`Hierarchies`] is what the machine has mounted (version 1, version 2, or both), detected once. [`Cgroup`] is one
//! group in all of them, held by directory descriptors so that no later rename or mount can redirect a write.
//! [`Features`] says what this machine's kernel can limit; `Features::check` refuses limits it cannot have before
//! any file is written.
//!
//! Version 2 is entered by `clone3` with `CLONE_INTO_CGROUP` and [`Cgroup::entrance`]; version 1 by the
//! single-threaded child writing `0` to each file of [`Cgroup::tasks`]: both spare the kernel's global lock that
//! writing a foreign pid takes.
//!
//! Reading order: hierarchy, group, file, apply (apply_v1, apply_v2), process, statistics, oom, features.

mod apply;
mod apply_v1;
mod apply_v2;
mod features;
mod file;
mod group;
mod hierarchy;
mod oom;
mod process;
mod statistics;
mod statistics_v1;
mod statistics_v2;

#[cfg(test)]
mod tests;

use std::io;

use model::{ErrorKind, Kinded};

pub use apply::default_devices;
pub(crate) use apply::{access, wildcard};
pub use features::{Features, HugePages, Refusal};
pub use group::Cgroup;
pub use hierarchy::{Hierarchies, Layout};
pub use oom::OomWatch;
pub use process::join;
pub use statistics::{
    BlockEntry, BlockStatistics, CpuStatistics, HugeStatistics, MemoryStatistics, PidStatistics, Statistics,
};

/// A failure while handling control groups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither version 1 nor version 2 is mounted.
    #[error("no cgroup hierarchy is mounted")]
    NotMounted,
    /// A cgroup path leaves its hierarchy.
    #[error("invalid cgroup path {path:?}")]
    Path {
        /// The path as given.
        path: String,
    },
    /// The group does not exist in any hierarchy.
    #[error("cgroup {path} does not exist")]
    Absent {
        /// The group's path within the hierarchies.
        path: String,
    },
    /// A limit needs a controller that is not there.
    #[error("cgroup controller {controller} is not available, needed for {limit}")]
    Controller {
        /// The controller's name.
        controller: &'static str,
        /// The limit that was asked for.
        limit: &'static str,
    },
    /// A value of the limits makes no sense on any machine.
    #[error("invalid {limit} limit {value:?}")]
    Value {
        /// The limit's name.
        limit: &'static str,
        /// The value as given.
        value: String,
    },
    /// A file of the cgroup file system could not be read.
    #[error("reading {file} of cgroup {path}")]
    Read {
        /// The file's name.
        file: String,
        /// The group's path.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("writing {value:?} to {file} of cgroup {path}")]
    Write {
        /// The file's name.
        file: String,
        /// The value written.
        value: String,
        /// The group's path.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The group's directory could not be made or opened.
    #[error("creating cgroup {path}")]
    Create {
        /// The directory.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The group's directory could not be removed.
    #[error("removing cgroup {path}")]
    Remove {
        /// The directory.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The device program of version 2 could not be loaded or attached.
    #[error("device rules of cgroup {path}")]
    Devices {
        /// The group's path.
        path: String,
        /// Why.
        source: crate::bpf::Error,
    },
    /// Processes did not reach the wanted state in time.
    #[error("cgroup {path} is not {state} after {milliseconds} ms")]
    Deadline {
        /// The group's path.
        path: String,
        /// The wanted state.
        state: &'static str,
        /// How long was waited.
        milliseconds: u64,
    },
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Path { .. } | Self::Value { .. } | Self::Controller { .. } => ErrorKind::Invalid,
            Self::Absent { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        }
    }
}

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, Error>;
