//! Sizes of trees.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub use archive::Usage;

/// Measures the tree below a directory without following links.
pub fn measure(directory: BorrowedFd<'_>) -> rustix::io::Result<Usage> {
    let mut walk = Walk { usage: Usage::default(), seen: HashSet::new() };
    let top = rustix::fs::openat(directory, c".", OPEN, Mode::empty())?;
    let children = walk.enter(top.as_fd())?;
    // Names wait, not descriptors: a tree may be wider than the limit on open files.
    let mut path: Vec<(OwnedFd, Vec<CString>)> = vec![(top, children)];
    while let Some((parent, waiting)) = path.last_mut() {
        let Some(name) = waiting.pop() else {
            path.pop();
            continue;
        };
        let Ok(child) = rustix::fs::openat(parent.as_fd(), &name, OPEN, Mode::empty()) else { continue };
        let children = walk.enter(child.as_fd())?;
        path.push((child, children));
    }
    Ok(walk.usage)
}

struct Walk {
    usage: Usage,
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    /// Counts what is in a directory; answers the names of directories in it.
    fn enter(&mut self, directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
        let mut children = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // What disappears while it is measured does not count.
            let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let kind = FileType::from_raw_mode(stat.st_mode);
            let is_directory = kind == FileType::Directory;
            if !is_directory && stat.st_nlink > 1 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
                continue;
            }
            self.usage.inodes += 1;
            self.usage.disk += stat.st_blocks.cast_unsigned() * 512;
            if is_directory {
                children.push(name.to_owned());
            } else {
                self.usage.size += stat.st_size.cast_unsigned();
            }
        }
        Ok(children)
    }
}
