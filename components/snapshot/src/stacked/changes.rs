//! Compares an upper layer with what is below it.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use archive::tree::{is_opaque, sorted_names};
use linux::overlay::{Lower, Overlay};
use linux::root::RootDir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use crate::{Change, ChangeKind};

/// Directories below each other; deeper ones are not looked into.
const DEPTH: usize = 1024;

/// The changes of an upper layer against the merged lower ones (uppermost first), sorted by path.
pub(super) fn compare(upper: OwnedFd, lowers: &[Lower]) -> io::Result<Vec<Change>> {
    let lower = Overlay { lowers: lowers.to_vec(), ..Overlay::default() }.mount()?;
    let mut comparison = Comparison { lower: RootDir::from_fd(lower), changes: Vec::new() };
    comparison.directory(upper.as_fd(), Path::new("/"), true, 0)?;
    comparison.changes.sort();
    Ok(comparison.changes)
}

struct Comparison {
    lower: RootDir,
    changes: Vec<Change>,
}

impl Comparison {
    /// `existed`: there is a directory below this one. Answers whether anything in it changed.
    fn directory(
        &mut self,
        upper: BorrowedFd<'_>,
        path: &Path,
        existed: bool,
        depth: usize,
    ) -> io::Result<bool> {
        let before = self.changes.len();
        if depth > DEPTH {
            return Ok(false);
        }
        let names = sorted_names(upper)?;
        for name in &names {
            let child = path.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(upper, name, &child, existed, depth)?;
        }
        if existed && is_opaque(upper) {
            self.hidden(path, &names)?;
        }
        Ok(self.changes.len() > before)
    }

    fn entry(
        &mut self,
        upper: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        in_lower: bool,
        depth: usize,
    ) -> io::Result<()> {
        let Ok(stat) = rustix::fs::statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let below = if in_lower { self.below(path) } else { None };
        if kind(&stat) == FileType::CharacterDevice && stat.st_rdev == 0 {
            if below.is_some() {
                self.add(path, ChangeKind::Deleted);
            }
            return Ok(());
        }
        let changed = match &below {
            None => Some(ChangeKind::Added),
            Some(below) => differs(&stat, below).then_some(ChangeKind::Modified),
        };
        if let Some(changed) = changed {
            self.add(path, changed);
        }
        if kind(&stat) != FileType::Directory {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(directory) = rustix::fs::openat(upper, name, flags, Mode::empty()) else { return Ok(()) };
        let was_directory = below.is_some_and(|below| kind(&below) == FileType::Directory);
        let inside = self.directory(directory.as_fd(), path, was_directory, depth + 1)?;
        if inside && changed.is_none() {
            self.add(path, ChangeKind::Modified);
        }
        Ok(())
    }

    /// Everything below an opaque directory that is not in it again is gone.
    fn hidden(&mut self, path: &Path, names: &[std::ffi::CString]) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let Ok(lower) = self.lower.open_file(path, flags, Mode::empty()) else { return Ok(()) };
        for name in sorted_names(lower)? {
            if names.binary_search(&name).is_err() {
                self.add(&path.join(OsStr::from_bytes(name.to_bytes())), ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    fn below(&self, path: &Path) -> Option<Stat> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        // A link on the way in the lower layers is another path, not this one.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let parent = self.lower.open_file(parent, flags, Mode::empty()).ok()?;
        rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    fn add(&mut self, path: &Path, kind: ChangeKind) {
        self.changes.push(Change { path: path.to_owned(), kind });
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Sizes and times of directories say nothing about themselves.
fn differs(one: &Stat, other: &Stat) -> bool {
    let attributes = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev);
    let content = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    attributes(one) != attributes(other)
        || (kind(one) != FileType::Directory && content(one) != content(other))
}
