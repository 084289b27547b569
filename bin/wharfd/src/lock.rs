//! One engine per exec-root: a lock that dies with its holder.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long a second start waits for the first to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the lock; `None` when another engine holds it.
///
/// # Errors
/// When the file can't be made.
pub(crate) fn take(exec_root: &Path) -> std::io::Result<Option<File>> {
    std::fs::create_dir_all(exec_root)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(exec_root.join("engine.lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until somebody listens on a socket; whether somebody does.
pub(crate) fn wait_for_listener(socket: &Path) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if UnixStream::connect(socket).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}
