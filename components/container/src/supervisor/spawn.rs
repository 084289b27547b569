//! Starting a shim process from a sealed copy of its program.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use linux::arguments::Arguments;
use linux::spawn::Spawn;
use model::ContainerId;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::{ShimError, ShimGroup};

/// Name of the file that tells a restarted engine what a dead shim left behind.
pub(super) const REMEMBERED_NAME: &str = "launch.json";

/// What a restarted engine needs when the shim is gone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) cgroup: String,
}

impl Remembered {
    pub(super) fn write(&self, directory: &Path) -> Result<(), ShimError> {
        let path = directory.join(REMEMBERED_NAME);
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        std::fs::write(&path, bytes).map_err(|cause| ShimError::Directory { path, cause })
    }

    pub(super) fn read(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(REMEMBERED_NAME)).ok()?).ok()
    }
}

/// A shim that is the engine's child.
#[derive(Debug)]
pub(super) struct ShimProcess {
    pub(super) pidfd: OwnedFd,
}

impl ShimProcess {
    /// Collects it if it has ended.
    pub(super) fn collect(&self) -> bool {
        !matches!(linux::pidfd::try_wait(self.pidfd.as_fd()), Ok(None))
    }
}

/// Copies the program into a memory file nobody can change any more, so that no container can overwrite what the
/// host executes.
pub(super) fn seal_program(path: &Path) -> Result<OwnedFd, ShimError> {
    let fail = |cause: std::io::Error| ShimError::Binary { path: path.to_owned(), cause };
    let file = File::open(path).map_err(fail)?;
    linux::memfd::sealed_copy("wharf-shim", &file).map_err(fail)
}

/// Starts a shim in a session and, if one is given, a control group of its own; its standard input is the other end of the returned connection.
pub(super) fn start(
    program: BorrowedFd<'_>,
    group: Option<&ShimGroup>,
    id: &ContainerId,
    directory: &Path,
) -> Result<(UnixStream, ShimProcess), ShimError> {
    let (ours, theirs) = UnixStream::pair().map_err(ShimError::Spawn)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| ShimError::Spawn(error.into()))?;
    let invalid = |error| ShimError::Spawn(std::io::Error::new(std::io::ErrorKind::InvalidInput, error));
    let directory = directory.to_string_lossy();
    let arguments = Arguments::new(["wharf-shim", id.as_str(), &*directory]).map_err(invalid)?;
    let environment = Arguments::new::<&str>([]).map_err(invalid)?;
    let descriptors = [(theirs.as_fd(), 0), (null.as_fd(), 1), (null.as_fd(), 2)];
    let run = |cgroup: Option<BorrowedFd<'_>>, tasks: &[OwnedFd]| {
        let spawn = Spawn {
            program,
            arguments: &arguments,
            environment: &environment,
            descriptors: &descriptors,
            new_session: true,
            cgroup,
            tasks,
        };
        spawn.run()
    };
    let child = match group {
        Some(group) => group.enter(run),
        None => run(None, &[]),
    };
    let child = child.map_err(|error| ShimError::Spawn(error.into()))?;
    Ok((ours, ShimProcess { pidfd: child.pidfd }))
}
