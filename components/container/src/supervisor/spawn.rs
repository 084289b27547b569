//! Starting a shim process from a sealed copy of its program.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use model::ContainerId;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::ShimError;

/// Name of the file that tells a restarted engine what a dead shim left behind.
pub(super) const REMEMBERED_NAME: &str = "launch.json";

/// What a restarted engine needs when the shim is gone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) cgroup: String,
    pub(super) pid: i32,
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
    child: Child,
    pub(super) pidfd: OwnedFd,
}

impl ShimProcess {
    pub(super) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Collects it if it has ended.
    pub(super) fn collect(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Copies the program into a memory file nobody can change any more, so that no container can overwrite what the
/// host executes.
pub(super) fn seal_program(path: &Path) -> Result<OwnedFd, ShimError> {
    let fail = |cause: std::io::Error| ShimError::Binary { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(fail)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("wharf-shim", flags).map_err(|error| fail(error.into()))?;
    let mut file = File::from(memory);
    file.write_all(&bytes).map_err(fail)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(|error| fail(error.into()))?;
    Ok(file.into())
}

/// Starts a shim; its standard input is the other end of the returned connection.
pub(super) fn start(
    program: BorrowedFd<'_>,
    id: &ContainerId,
    directory: &Path,
) -> Result<(UnixStream, ShimProcess), ShimError> {
    let (ours, theirs) = UnixStream::pair().map_err(ShimError::Spawn)?;
    // The child's table still has the descriptor when the path is looked up; close-on-exec takes it away afterwards.
    let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
        .arg0("wharf-shim")
        .arg(id.as_str())
        .arg(directory)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(ShimError::Spawn)?;
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(ShimError::Watch)?;
    Ok((ours, ShimProcess { child, pidfd }))
}
