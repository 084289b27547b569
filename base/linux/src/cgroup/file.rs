//! Reading and writing the small text files of a cgroup directory, always relative to its descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

use super::{Error, Result};

/// One cgroup directory of one hierarchy.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) fd: OwnedFd,
    /// For messages only; no operation goes by it.
    pub(crate) path: String,
}

impl Directory {
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        write_at(self.fd.as_fd(), file, value.as_bytes())
            .map_err(|source| self.write_error(file, value, source))
    }

    /// Writes where the kernel has the file and says whether it has.
    pub(crate) fn write_if_present(&self, file: &str, value: &str) -> Result<bool> {
        match write_at(self.fd.as_fd(), file, value.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(source) => Err(self.write_error(file, value, source)),
        }
    }

    pub(crate) fn write_error(&self, file: &str, value: &str, source: io::Error) -> Error {
        Error::Write { file: file.into(), value: value.into(), path: self.path.clone(), source }
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        let mut text = String::new();
        read_at(self.fd.as_fd(), file, &mut text).map_err(|source| Error::Read {
            file: file.into(),
            path: self.path.clone(),
            source,
        })?;
        Ok(text)
    }

    /// The text of a file; nothing when it cannot be read.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        let mut text = String::new();
        read_at(self.fd.as_fd(), file, &mut text).ok().map(|()| text)
    }

    /// The single number in a file; `max` is the largest number.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        parse_number(self.text(file)?.trim())
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::statat(&self.fd, file, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

pub(crate) fn parse_number(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

pub(crate) fn write_at(directory: BorrowedFd<'_>, file: &str, value: &[u8]) -> io::Result<()> {
    let fd = openat(directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The kernel takes one value per write call; there are no short writes to these files.
    rustix::io::retry_on_intr(|| rustix::io::write(&fd, value))?;
    Ok(())
}

pub(crate) fn read_at(directory: BorrowedFd<'_>, file: &str, text: &mut String) -> io::Result<()> {
    let fd = openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut chunk[..]))?;
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..length]);
    }
    text.push_str(&String::from_utf8_lossy(&bytes));
    Ok(())
}
