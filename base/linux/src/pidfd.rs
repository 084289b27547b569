//! Stable handles of processes: opening, waiting, signalling.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Errno, SysResult, check};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core was dumped.
        dumped: bool,
    },
}

impl Exit {
    /// The code a shell reports: 128 and the signal's number for a killed process.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal { number, .. } => 128 + number,
        }
    }
}

/// A handle of the process with this id; ESRCH when there is none.
pub fn open(pid: i32) -> SysResult<OwnedFd> {
    rustix::process::pidfd_open(pid_from(pid)?, PidfdFlags::empty())
}

/// Waits for the end of a child of the caller and reaps it.
pub fn wait(pidfd: BorrowedFd<'_>) -> SysResult<Exit> {
    loop {
        match wait_with(pidfd, WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Ok(Some(exit)) => return Ok(exit),
            Ok(None) => return Err(Errno::CHILD),
            Err(error) => return Err(error),
        }
    }
}

/// Reaps a child of the caller if it has ended.
pub fn try_wait(pidfd: BorrowedFd<'_>) -> SysResult<Option<Exit>> {
    wait_with(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

/// Waits until the process, whoever's child it is, has ended; false when `patience` ran out first.
pub fn wait_end(pidfd: BorrowedFd<'_>, patience: Option<Duration>) -> SysResult<bool> {
    let timeout = patience.map(|patience| Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    });
    let mut interest = [PollFd::new(&pidfd, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut interest, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            result => return result.map(|ready| ready > 0),
        }
    }
}

/// Whether the process has not ended yet.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    wait_end(pidfd, Some(Duration::ZERO)) == Ok(false)
}

/// Sends a signal by number.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> SysResult<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the information pointer may be null, everything else is a number.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    check(result).map(drop)
}

/// A descriptor of another process, duplicated into the caller.
pub fn take_descriptor(pidfd: BorrowedFd<'_>, number: i32) -> SysResult<OwnedFd> {
    let flags = rustix::process::PidfdGetfdFlags::empty();
    rustix::process::pidfd_getfd(pidfd, number, flags)
}

/// The id of the process in the caller's pid namespace, read from the descriptor; ESRCH when it is reaped.
pub fn pid_of(pidfd: BorrowedFd<'_>) -> SysResult<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text =
        std::fs::read_to_string(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<i32>().ok());
    pid.filter(|pid| *pid > 0).ok_or(Errno::SRCH)
}

fn wait_with(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> SysResult<Option<Exit>> {
    let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options)?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, number) => Exit::Signal { number: number.unwrap_or_default(), dumped: status.dumped() },
    }))
}

fn pid_from(pid: i32) -> SysResult<Pid> {
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or(Errno::SRCH)
}
