//! Making a container: everything up to just before its command is executed.

use std::os::fd::OwnedFd;

use linux::cgroup::Cgroup;

use crate::error::{Error, Result};
use crate::request::CreateRequest;

/// A container whose process waits for permission to execute its command. When dropped with a held gate that was
/// never opened, the process ends.
#[derive(Debug)]
pub struct Created {
    /// The process's id in the caller's pid namespace.
    pub pid: i32,
    /// A handle of it; it is a child of the caller, which reaps it.
    pub pidfd: OwnedFd,
    /// The master end of its terminal, if it has one.
    pub pty_master: Option<OwnedFd>,
    /// Its root mount: keeps the file system alive after the container's end, and resolves paths in it.
    pub root: OwnedFd,
    /// Its control group, if one was asked for. The caller removes it at the end.
    pub cgroup: Option<Cgroup>,
}

impl Created {
    /// Lets the command run, and waits until it does. A command that turns out not to be executable only now (a
    /// foreign binary, a missing interpreter) says so on its standard error and ends with 255, as with runc.
    pub fn start(&mut self) -> Result<()> {
        Err(Error::Lost)
    }
}

/// Makes a container. On failure nothing of it is left.
pub fn create(request: CreateRequest) -> Result<Created> {
    let _ = request;
    Err(Error::Lost)
}
