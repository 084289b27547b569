//! The terminal's master end handed to whoever listens at `--console-socket`.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::failure::{Failure, Result};

/// A connection to the listener.
pub(super) struct Socket(UnixStream);

impl Socket {
    /// Connects if a socket is named. A terminal needs one, anything else must not have one.
    pub(super) fn new(path: Option<&str>, terminal: bool) -> Result<Option<Self>> {
        match (path.filter(|path| !path.is_empty()), terminal) {
            (Some(path), true) => Ok(Some(Self(UnixStream::connect(path)?))),
            (None, false) => Ok(None),
            (None, true) => {
                Err(Failure::new("cannot allocate tty if runc will detach without setting console socket"))
            }
            (Some(_), false) => {
                Err(Failure::new("cannot use console socket if runc will not detach or allocate tty"))
            }
        }
    }

    /// Sends the master end with the name runc gives it.
    pub(super) fn send(&self, master: &OwnedFd) -> Result<()> {
        linux::descriptor::send(&self.0, b"/dev/ptmx", &[master.as_fd()])?;
        Ok(())
    }
}
