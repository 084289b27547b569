//! Becoming another program.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::arguments::Arguments;
use crate::{Errno, SysResult};

/// Replaces the calling program by the one at a path; returns only on failure.
pub fn path(program: &CStr, arguments: &Arguments, environment: &Arguments) -> Errno {
    // SAFETY: the path and both lists are zero-terminated and live across the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_error()
}

/// Replaces the calling program by the one a descriptor holds; returns only on failure.
pub fn descriptor(program: BorrowedFd<'_>, arguments: &Arguments, environment: &Arguments) -> Errno {
    let (arguments, environment) = (arguments.as_ptr(), environment.as_ptr());
    // SAFETY: the empty path and both lists are zero-terminated and live across the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments,
            environment,
            libc::AT_EMPTY_PATH,
        )
    };
    last_error()
}

/// Whether the calling process, with its effective ids, may execute a file.
pub fn may_execute(program: &CStr) -> SysResult<()> {
    let flags = rustix::fs::AtFlags::EACCESS;
    rustix::fs::accessat(rustix::fs::CWD, program, rustix::fs::Access::EXEC_OK, flags)
}

fn last_error() -> Errno {
    // SAFETY: reading the calling thread's error number has no precondition.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
