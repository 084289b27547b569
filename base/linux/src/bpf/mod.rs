//! The device program of cgroup version 2: rules compiled to eBPF, loaded, and attached to a group.

mod program;
mod syscall;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::{ErrorKind, Kinded};
pub use program::{Instruction, Rule, compile, rules};

/// A failure of the bpf system call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel did not take the program.
    #[error("loading the device program of {instructions} instructions")]
    Load {
        /// How long it is.
        instructions: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program could not be attached to the group.
    #[error("attaching the device program")]
    Attach {
        /// What the kernel said.
        source: io::Error,
    },
    /// The programs of the group could not be listed or detached.
    #[error("replacing the device program")]
    Replace {
        /// What the kernel said.
        source: io::Error,
    },
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Loads a program. It lives as long as the descriptor or an attachment.
pub fn load(program: &[Instruction]) -> Result<OwnedFd, Error> {
    syscall::load(program).map_err(|source| Error::Load { instructions: program.len(), source })
}

/// Makes `rules` the only device program of the group whose directory is given. The new one is attached before the
/// old ones go, so that there is no moment without rules.
pub fn replace(cgroup: BorrowedFd<'_>, rules: &[Rule]) -> Result<(), Error> {
    let program = load(&compile(rules))?;
    let old = syscall::attached(cgroup).map_err(|source| Error::Replace { source })?;
    syscall::attach(cgroup, program.as_fd()).map_err(|source| Error::Attach { source })?;
    for id in old {
        syscall::detach(cgroup, id).map_err(|source| Error::Replace { source })?;
    }
    Ok(())
}
