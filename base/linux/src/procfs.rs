//! A proc file system of one's own, which no mount of anybody else can shadow.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::mount::{Configuration, attribute, file_system_kind};
use crate::{Errno, SysResult};

const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// A handle of a proc file system; nothing mounted over parts of it is ever entered.
#[derive(Debug)]
pub struct ProcFs {
    fd: OwnedFd,
}

impl ProcFs {
    /// A new detached one that shows the calling process's pid namespace.
    pub fn new() -> SysResult<Self> {
        let attributes = attribute::NO_SUID | attribute::NO_DEVICES | attribute::NO_EXECUTE;
        Ok(Self { fd: Configuration::new(c"proc")?.mount(attributes)? })
    }

    /// A mount's root that is already open; EXDEV when it is no proc file system.
    pub fn from_fd(fd: OwnedFd) -> SysResult<Self> {
        if file_system_kind(&fd)? != PROC_SUPER_MAGIC {
            return Err(Errno::XDEV);
        }
        Ok(Self { fd })
    }

    /// Writes a value to a file with one system call.
    pub fn write(&self, path: &CStr, value: &[u8]) -> SysResult<()> {
        let file = self.open(path, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, value)?;
        if written == value.len() { Ok(()) } else { Err(Errno::IO) }
    }

    /// Opens a file after making sure that it is one of this file system.
    pub fn open(&self, path: &CStr, flags: OFlags) -> SysResult<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        if file_system_kind(&file)? == PROC_SUPER_MAGIC { Ok(file) } else { Err(Errno::XDEV) }
    }
}

impl AsFd for ProcFs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_from_the_own_mount() {
        let proc = ProcFs::new().unwrap();
        assert!(proc.open(c"self/status", OFlags::RDONLY).is_ok());
        assert_eq!(proc.open(c"self/root/etc/passwd", OFlags::RDONLY).unwrap_err(), Errno::LOOP);
        assert_eq!(proc.open(c"../etc/passwd", OFlags::RDONLY).unwrap_err(), Errno::XDEV);
        let other = std::fs::File::open("/").unwrap();
        assert_eq!(ProcFs::from_fd(other.into()).unwrap_err(), Errno::XDEV);
    }
}
