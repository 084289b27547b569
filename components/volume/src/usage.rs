//! How much a volume holds.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Bytes in the files below a directory, as Docker counts them (a file with several names once). Stays on the
/// directory's file system.
pub(crate) fn measure(directory: OwnedFd) -> rustix::io::Result<u64> {
    let device = rustix::fs::fstat(&directory)?.st_dev;
    let mut seen = HashSet::new();
    let mut size = 0;
    // Names instead of descriptors wait here: a tree may be wider than the limit on open files.
    let mut path: Vec<(OwnedFd, Vec<CString>)> = Vec::new();
    let children = enter(directory.as_fd(), device, &mut seen, &mut size)?;
    path.push((directory, children));
    while let Some((parent, waiting)) = path.last_mut() {
        let Some(name) = waiting.pop() else {
            path.pop();
            continue;
        };
        let Ok(child) = rustix::fs::openat(parent.as_fd(), &name, OPEN, Mode::empty()) else { continue };
        let children = enter(child.as_fd(), device, &mut seen, &mut size)?;
        path.push((child, children));
    }
    Ok(size)
}

fn enter(
    directory: BorrowedFd<'_>,
    device: u64,
    seen: &mut HashSet<u64>,
    size: &mut u64,
) -> rustix::io::Result<Vec<CString>> {
    let mut children = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // What disappears while it is measured does not count.
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if stat.st_dev != device {
            continue;
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            children.push(name.to_owned());
        } else if stat.st_nlink == 1 || seen.insert(stat.st_ino) {
            *size += stat.st_size.cast_unsigned();
        }
    }
    Ok(children)
}
