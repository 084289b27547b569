//! Making a process with `clone3`: namespaces, cgroup and pidfd in one call.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::namespace::Namespaces;
use crate::{SysResult, check};

/// The kernel's `struct clone_args`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

pub(crate) const CLONE_PIDFD: u64 = 0x1000;
pub(crate) const CLONE_PARENT: u64 = 0x8000;
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
pub(crate) const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What the new process gets.
#[derive(Debug, Default)]
pub struct Clone<'fd> {
    /// New namespaces.
    pub namespaces: Namespaces,
    /// Version 2 cgroup directory it is born in.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// Its parent is the caller's parent; it then ends with the caller's own exit signal.
    pub sibling: bool,
}

/// A process that was made.
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// A stable handle of it.
    pub pidfd: OwnedFd,
}

impl Clone<'_> {
    /// Makes a copy of the calling process that runs `child` and ends with the value returned.
    ///
    /// In a process with more than one thread the copy has only the calling thread while locks of others stay held:
    /// `child` then must not allocate, print or panic. Destructors of the caller do not run in the copy.
    pub fn run(&self, child: impl FnOnce() -> i32) -> SysResult<Child> {
        let mut pidfd: libc::c_int = -1;
        let mut args = CloneArgs {
            flags: self.namespaces.bits() | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
            pidfd: (&raw mut pidfd) as u64,
            // With CLONE_PARENT the kernel takes the caller's own signal and refuses another.
            exit_signal: if self.sibling { 0 } else { libc::SIGCHLD as u64 },
            ..CloneArgs::default()
        };
        if self.sibling {
            args.flags |= CLONE_PARENT;
        }
        if let Some(cgroup) = self.cgroup {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
        }
        // SAFETY: without CLONE_VM the child works on its own copy of memory, like after fork(2); the arguments live
        // until the call returns and the kernel writes only the pidfd.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) });
        let pid = match pid {
            // Docker's system call filter says so of clone3, which it cannot look into: a container's own init gets here.
            Err(crate::Errno::NOSYS) if args.cgroup == 0 => old_clone(&args, &mut pidfd)?,
            pid => pid?,
        };
        if pid == 0 {
            let _exit = ExitOnUnwind;
            end(child());
        }
        // SAFETY: the kernel has stored a new descriptor that nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Child { pid: i32::try_from(pid).unwrap_or_default(), pidfd })
    }
}

/// The same with the older call, which cannot reset signal handlers nor choose a cgroup.
fn old_clone(args: &CloneArgs, pidfd: &mut libc::c_int) -> SysResult<libc::c_long> {
    let flags = (args.flags & !CLONE_CLEAR_SIGHAND) | args.exit_signal;
    let no_stack = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as with clone3: no shared memory, the kernel writes only the pidfd; the arguments after the third, whose
    // order differs by architecture, are all null.
    check(unsafe { libc::syscall(libc::SYS_clone, flags, no_stack, &raw mut *pidfd, no_stack, no_stack) })
}

/// Ends a forked child that panics before the panic reaches the parent's frames.
struct ExitOnUnwind;

impl Drop for ExitOnUnwind {
    fn drop(&mut self) {
        end(134);
    }
}

/// Ends the calling process at once: no destructors, no exit handlers.
pub fn end(code: i32) -> ! {
    // SAFETY: ends the process without running any of its code.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd;
    use std::os::fd::AsFd;

    #[test]
    fn children_end_with_their_value() {
        for code in [0, 7, 255] {
            let child = Clone::default().run(|| code).unwrap();
            assert_eq!(pidfd::wait(child.pidfd.as_fd()), Ok(pidfd::Exit::Code(code)));
        }
    }

    #[test]
    fn namespaces_are_new() {
        let namespaces = Namespaces::PID | Namespaces::MOUNT | Namespaces::UTS | Namespaces::IPC;
        let child = Clone { namespaces, ..Clone::default() }
            .run(|| i32::from(rustix::process::getpid().as_raw_nonzero().get() != 1))
            .unwrap();
        assert_eq!(pidfd::wait(child.pidfd.as_fd()), Ok(pidfd::Exit::Code(0)));
    }
}
