//! Owners, modes, times and extended attributes of unpacked members, set on descriptors.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::Entry;
use crate::extract::{ExtractOptions, Owner};
use crate::overlay::{OPAQUE_XATTR, is_overlay_xattr};

/// Set-id bits: what the client unpacks for its user must not run as anybody else.
const SET_ID: u32 = 0o6000;

/// Sets everything but times on an open file or directory; answers what it takes on disk.
pub(super) fn set(file: BorrowedFd<'_>, entry: &Entry, options: &ExtractOptions) -> rustix::io::Result<Stat> {
    // Each change is a transaction of the file system, looking is none; most files are what they should be already.
    let found = rustix::fs::fstat(file)?;
    let owner = owner(entry, options).filter(|owner| *owner != (found.st_uid, found.st_gid));
    if let Some((uid, gid)) = owner {
        // Ownership first: changing it clears set-id bits and capabilities.
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    let mode = mode(entry, options);
    if owner.is_some() || Mode::from_raw_mode(found.st_mode & 0o7777) != mode {
        rustix::fs::fchmod(file, mode)?;
    }
    for (name, value) in &entry.xattrs {
        set_xattr(file, name, value, options)?;
    }
    // Attributes may have a block of their own.
    if entry.xattrs.is_empty() { Ok(found) } else { rustix::fs::fstat(file) }
}

/// The mode a file is made with: its own where it belongs to whoever makes it, else nobody may open it before it has its owner.
pub(super) fn first_mode(entry: &Entry, options: &ExtractOptions) -> Mode {
    match owner(entry, options) {
        None | Some((0, 0)) => mode(entry, options) & Mode::from_raw_mode(0o777),
        Some(_) => Mode::from_raw_mode(0o600),
    }
}

/// Sets owner and time of a member that cannot be opened (links, devices), and the mode of all but symbolic links.
pub(super) fn set_unopened(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    entry: &Entry,
    options: &ExtractOptions,
    is_link: bool,
) -> rustix::io::Result<()> {
    if let Some((uid, gid)) = owner(entry, options) {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !is_link {
        // The descriptor names exactly what is there now; a link swapped in is seen by its type and not followed.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_symlink() {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::chmodat(CWD, path, mode(entry, options), AtFlags::empty())?;
        }
    }
    let times = times(entry.seconds, entry.nanoseconds);
    rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn times(seconds: i64, nanoseconds: u32) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}

/// Marks a directory given by an O_PATH descriptor as hiding everything below.
pub(super) fn set_opaque(directory: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(directory, c".", flags, Mode::empty())?;
    rustix::fs::fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())
}

fn owner(entry: &Entry, options: &ExtractOptions) -> Option<(u32, u32)> {
    match options.owner {
        Owner::Archive => match &options.id_map {
            // An owner the namespace does not have is nobody's: its root's.
            Some(map) => map.outside(entry.uid, entry.gid).or_else(|| map.outside(0, 0)),
            None => Some((entry.uid, entry.gid)),
        },
        Owner::Fixed(uid, gid) => Some((uid, gid)),
        Owner::Caller => None,
    }
}

fn mode(entry: &Entry, options: &ExtractOptions) -> Mode {
    let mask = if options.owner == Owner::Caller { 0o7777 & !SET_ID } else { 0o7777 };
    Mode::from_raw_mode(entry.mode & mask)
}

/// File systems without extended attributes, and attributes of a security module that is not there, are no error.
fn set_xattr(
    file: BorrowedFd<'_>,
    name: &[u8],
    value: &[u8],
    options: &ExtractOptions,
) -> rustix::io::Result<()> {
    let for_caller = options.owner != Owner::Caller || name.starts_with(b"user.");
    if is_overlay_xattr(name) || !for_caller {
        return Ok(());
    }
    let Ok(name) = CString::new(name) else { return Err(Errno::INVAL) };
    match rustix::fs::fsetxattr(file, &name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if name.to_bytes().starts_with(b"user.") => Ok(()),
        result => result,
    }
}
