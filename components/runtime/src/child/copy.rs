//! Copies a directory into a new tmpfs that will cover it (the option `tmpcopyup`).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use linux::{Errno, SysResult};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid};

/// Directories within directories that are copied; deeper trees are refused, as each takes a piece of the stack.
const DEEPEST: u32 = 40;

/// Copies all that is in a directory, and its owner and mode; links are copied, never followed.
pub(super) fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> SysResult<()> {
    copy_directory(from, to, 0)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> SysResult<()> {
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let list = rustix::fs::openat(from, c".", flags, Mode::empty())?;
    let mut space = [MaybeUninit::<u8>::uninit(); 4096];
    let mut entries = RawDir::new(&list, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth)?;
        }
    }
    let stat = rustix::fs::fstat(&list)?;
    own(to, c"", &stat, AtFlags::EMPTY_PATH)?;
    rustix::fs::chmodat(to, c".", permissions(&stat), AtFlags::empty())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> SysResult<()> {
    use std::os::fd::AsFd as _;
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::Directory => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let below = rustix::fs::openat(from, name, flags, Mode::empty())?;
            let copy = rustix::fs::openat(to, name, flags, Mode::empty())?;
            return copy_directory(below.as_fd(), copy.as_fd(), depth + 1);
        }
        FileType::Symlink => {
            let mut text = [MaybeUninit::<u8>::uninit(); 4096];
            let (text, _) = rustix::fs::readlinkat_raw(from, name, &mut text[..4095])?;
            let text = linux::path_buffer::PathBuffer::from_bytes(text)?;
            rustix::fs::symlinkat(text.as_c_str(), to, name)?;
            return own(to, name, &stat, AtFlags::SYMLINK_NOFOLLOW);
        }
        FileType::RegularFile => copy_file(from, to, name)?,
        _ => match rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev) {
            // A user namespace makes no devices.
            Err(Errno::PERM) => return Ok(()),
            made => made?,
        },
    }
    own(to, name, &stat, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::chmodat(to, name, permissions(&stat), AtFlags::empty())
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600))?;
    while rustix::fs::sendfile(&copy, &source, None, 1 << 20)? > 0 {}
    Ok(())
}

/// The mode bits without the type.
fn permissions(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn own(dir: BorrowedFd<'_>, name: &CStr, stat: &Stat, flags: AtFlags) -> SysResult<()> {
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(dir, name, Some(user), Some(group), flags)
}
