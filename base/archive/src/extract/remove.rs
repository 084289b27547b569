//! Removes a tree by directory descriptors, never following a link.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// Removes a directory with everything in it.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    // A stack instead of recursion: depth is somebody else's choice.
    let mut path: Vec<(CString, OwnedFd, Vec<CString>)> = Vec::new();
    let (directory, children) = empty(parent, &name)?;
    path.push((name, directory, children));
    while let Some((_, directory, children)) = path.last_mut() {
        if let Some(child) = children.pop() {
            let (inner, grandchildren) = empty(directory.as_fd(), &child)?;
            path.push((child, inner, grandchildren));
            continue;
        }
        let Some((name, directory, _)) = path.pop() else { break };
        drop(directory);
        let above = path.last().map_or(parent, |(_, directory, _)| directory.as_fd());
        rustix::fs::unlinkat(above, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Removes everything but directories from a directory; answers the names of those.
fn empty(parent: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<(OwnedFd, Vec<CString>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let mut children = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => children.push(name.to_owned()),
            Err(Errno::NOENT) => {}
            result => result?,
        }
    }
    Ok((directory, children))
}
