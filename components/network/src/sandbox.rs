//! Network namespaces made ready before they are needed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A network namespace with its loopback up, and usually an `eth0` already plugged into the default bridge.
///
/// Dropping it lets the namespace die unless a process lives in it.
#[derive(Debug)]
pub struct Sandbox {
    namespace: OwnedFd,
}

impl Sandbox {
    /// The namespace, to be joined with setns or passed to the shim.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Another descriptor of the namespace, to be given away.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn duplicate_namespace(&self) -> std::io::Result<OwnedFd> {
        self.namespace.try_clone()
    }
}
