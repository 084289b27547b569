//! Things about the calling process as a whole.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};

use crate::{SysResult, check};

/// Orphans below the calling process become its children.
pub fn become_subreaper() -> SysResult<()> {
    // SAFETY: plain system call on numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })).map(drop)
}

/// A signal the calling process gets when the thread that made it ends; 0 for none.
pub fn set_parent_death_signal(signal: i32) -> SysResult<()> {
    // SAFETY: plain system call on numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) })).map(drop)
}

/// The calling process's own program file.
pub fn own_program() -> SysResult<OwnedFd> {
    rustix::fs::openat(CWD, c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The name `ps` and `/proc/<pid>/comm` show, at most 15 bytes of it.
pub fn set_name(name: &std::ffi::CStr) -> SysResult<()> {
    rustix::thread::set_name(name)
}

/// Reaps any ended child of the caller: its pid and how it ended. None when none has ended, ECHILD when there is none.
pub fn reap_any() -> SysResult<Option<(i32, crate::pidfd::Exit)>> {
    use rustix::process::{WaitOptions, wait};
    Ok(wait(WaitOptions::NOHANG)?.map(|(pid, status)| {
        let exit = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => crate::pidfd::Exit::Code(code),
            (None, number) => {
                crate::pidfd::Exit::Signal { number: number.unwrap_or_default(), dumped: false }
            }
        };
        (pid.as_raw_nonzero().get(), exit)
    }))
}
