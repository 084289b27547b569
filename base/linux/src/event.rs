//! Descriptors that become readable when something happens: signals, timers, file changes.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::fs::inotify;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::{SysResult, check, signal};

/// Signals as a stream of numbers, instead of interrupting the program.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals for the calling thread (and threads it starts) and makes them readable.
    pub fn new(numbers: &[i32]) -> SysResult<Self> {
        let set = signal::set_of(numbers);
        // SAFETY: an initialised set; the old mask is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        // SAFETY: an initialised set; the result is a new descriptor.
        let fd = check(libc::c_long::from(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        }))?;
        // SAFETY: the number was just returned by the kernel and is nobody else's.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) } })
    }

    /// The next signal that has arrived, if any.
    pub fn next(&self) -> SysResult<Option<Arrived>> {
        let mut bytes = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut bytes) {
            Ok(_) => {
                let number = |at: usize| {
                    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map(i32::from_ne_bytes)
                };
                Ok(Some(Arrived {
                    number: number(0).unwrap_or_default(),
                    pid: number(12).unwrap_or_default(),
                }))
            }
            Err(crate::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its number.
    pub number: i32,
    /// Who sent it.
    pub pid: i32,
}

impl AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A timer that can be waited for together with other descriptors.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// A timer that is not running.
    pub fn new() -> SysResult<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { fd: rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)? })
    }

    /// Fires once after a time; zero stops it.
    pub fn set(&self, after: Duration) -> SysResult<()> {
        let value = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once).map(drop)
    }

    /// Takes notice of having fired.
    pub fn acknowledge(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.fd, &mut count);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Changes of files.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> SysResult<Self> {
        Ok(Self { fd: inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)? })
    }

    /// Watches a path for writes, moves, deletions and creations.
    pub fn add(&self, path: &std::path::Path) -> SysResult<()> {
        let kinds = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::MOVE_SELF
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&self.fd, path, kinds).map(drop)
    }

    /// Takes notice of everything that has happened; false when nothing had.
    pub fn acknowledge(&self) -> bool {
        let mut bytes = [0; 4096];
        let mut any = false;
        while matches!(rustix::io::read(&self.fd, &mut bytes), Ok(length) if length > 0) {
            any = true;
        }
        any
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Bytes that can be read without waiting.
pub fn readable_bytes(fd: impl AsFd) -> SysResult<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    check(libc::c_long::from(unsafe {
        libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count)
    }))?;
    Ok(usize::try_from(count).unwrap_or_default())
}
