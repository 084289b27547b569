//! Pseudo-terminals and terminal settings.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::mount::file_system_kind;
use crate::root::RootDir;
use crate::{Errno, SysResult, check};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side that emulates the terminal.
    pub master: OwnedFd,
    /// The side programs use.
    pub slave: OwnedFd,
}

/// Opens a pseudo-terminal of the devpts file system mounted at `dev/pts` below a root, and of no other.
pub fn open_in(root: &RootDir) -> SysResult<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let found = root.resolve(c"dev/pts/ptmx")?;
    let stat = rustix::fs::fstat(&found)?;
    // /dev/pts/ptmx of every devpts instance is the character device 5:2.
    if file_system_kind(&found)? != DEVPTS_SUPER_MAGIC || stat.st_rdev != rustix::fs::makedev(5, 2) {
        return Err(Errno::NODEV);
    }
    let master = root.open_file(c"dev/pts/ptmx", flags, Mode::empty())?;
    if file_system_kind(&master)? != DEVPTS_SUPER_MAGIC {
        return Err(Errno::NODEV);
    }
    finish(master)
}

/// Opens a pseudo-terminal of the caller's own view.
pub fn open() -> SysResult<Pty> {
    finish(rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
}

fn finish(master: OwnedFd) -> SysResult<Pty> {
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok(Pty { master, slave })
}

/// Makes a terminal the controlling one of the calling session leader.
pub fn take_control(terminal: BorrowedFd<'_>) -> SysResult<()> {
    // SAFETY: the argument 0 means not to steal it from another session.
    check(libc::c_long::from(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })).map(drop)
}

/// Sets the size in characters.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> SysResult<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size)
}

/// The size in characters: rows, columns.
pub fn size(terminal: impl AsFd) -> SysResult<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal)?;
    Ok((size.ws_row, size.ws_col))
}

/// A terminal in raw mode; put back when dropped.
#[derive(Debug)]
pub struct Raw<Fd: AsFd> {
    terminal: Fd,
    before: Termios,
}

impl<Fd: AsFd> Raw<Fd> {
    /// Puts a terminal into raw mode; ENOTTY when it is none.
    pub fn new(terminal: Fd) -> SysResult<Self> {
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl<Fd: AsFd> Drop for Raw<Fd> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}
