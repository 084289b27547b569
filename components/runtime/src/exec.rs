//! Running one more process in a running container.

use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::request::ExecRequest;

/// A process that runs in a container.
#[derive(Debug)]
pub struct Exec {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// A handle of it; it is a child of the caller, which reaps it.
    pub pidfd: OwnedFd,
    /// The master end of its terminal, if it has one.
    pub pty_master: Option<OwnedFd>,
}

/// Runs a process in a container and returns once its program has been executed.
pub fn exec(request: ExecRequest) -> Result<Exec> {
    let _ = request;
    Err(Error::Lost)
}
