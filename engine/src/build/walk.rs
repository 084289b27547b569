//! Walks over folders: what is in them, each folder before what is in it; large ones by several threads.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use build_context::Ignore;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::side_by_side::side_by_side;
use super::tree::{Found, MOST, SHARE, too_many};
use crate::error::Context;
use crate::{Error, Result};

/// Deepest folder.
const DEEPEST: usize = 256;
/// Names of a folder that go to a thread at once.
const NAMES: usize = 8;

/// What is seen of a folder.
pub(super) struct Seen<'s> {
    /// What is not seen of the tree.
    pub(super) ignore: Option<&'s Ignore>,
    /// What is not seen of the folder.
    pub(super) exclude: &'s Ignore,
    /// The folder without links in its path: what ignore patterns are about.
    pub(super) real: PathBuf,
}

/// Adds everything below a folder.
pub(super) fn walk(folder: BorrowedFd<'_>, seen: &Seen<'_>, files: &mut Vec<Found>) -> Result<()> {
    let open = open_folder(folder, c".", &seen.real)?;
    let total = AtomicUsize::new(files.len());
    Walk { seen, files, total: &total, alone: false }.children(&open, Path::new(""), 0)
}

struct Walk<'w> {
    seen: &'w Seen<'w>,
    files: &'w mut Vec<Found>,
    /// Files of all threads.
    total: &'w AtomicUsize,
    /// Others walk beside this one already.
    alone: bool,
}

impl Walk<'_> {
    fn children(&mut self, folder: &OwnedFd, below: &Path, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::invalid(format!("folders are nested deeper than {DEEPEST}")));
        }
        let names = archive::tree::sorted_names(folder).doing(|| format!("listing {}", below.display()))?;
        let mut left = names.as_slice();
        while let Some((name, rest)) = left.split_first() {
            left = rest;
            let is_folder = self.child(folder, name, below, depth)?;
            // Who finds a large folder among many names has more of them to come.
            if is_folder && !self.alone && self.files.len() >= SHARE && left.len() >= NAMES {
                return self.share(folder, left, below, depth);
            }
        }
        Ok(())
    }

    /// Adds names of a folder, some by other threads, in their order all the same.
    fn share(&mut self, folder: &OwnedFd, names: &[CString], below: &Path, depth: usize) -> Result<()> {
        let (seen, total) = (self.seen, self.total);
        let walked = side_by_side(names, NAMES, |names| {
            let mut files = Vec::new();
            let mut walk = Walk { seen, files: &mut files, total, alone: true };
            for name in names {
                walk.child(folder, name, below, depth)?;
            }
            Ok(files)
        })?;
        self.files.extend(walked.into_iter().flatten());
        Ok(())
    }

    /// Adds one name of a folder with what is below it; whether it is a folder.
    fn child(&mut self, folder: &OwnedFd, name: &CString, below: &Path, depth: usize) -> Result<bool> {
        let target = below.join(OsStr::from_bytes(name.to_bytes()));
        let path = self.seen.real.join(&target);
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            stat => stat.doing(|| format!("looking at {}", path.display()))?,
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let (shown, below_shown) = self.seen.visible(&path, &target, is_folder);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Socket || !(shown || below_shown) {
            return Ok(is_folder);
        }
        if self.total.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(too_many());
        }
        if !is_folder {
            self.files.push(Found { path, target, stat });
            return Ok(false);
        }
        let open = open_folder(folder.as_fd(), name, &path)?;
        let place = self.files.len();
        self.files.push(Found { path, target: target.clone(), stat });
        self.children(&open, &target, depth + 1)?;
        if !shown && self.files.len() == place + 1 {
            // Looked through for nothing.
            self.files.truncate(place);
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(true)
    }
}

impl Seen<'_> {
    /// Whether a file is seen, and whether something below it may be.
    fn visible(&self, path: &Path, target: &Path, is_folder: bool) -> (bool, bool) {
        let (mut shown, mut below) = (true, is_folder);
        let rules = [(self.ignore, path), (Some(self.exclude), target)];
        for (rules, path) in rules.into_iter().filter_map(|(rules, path)| Some((rules?, path))) {
            if rules.is_empty() {
                continue;
            }
            let text = path.to_string_lossy();
            if rules.is_ignored(&text) {
                shown = false;
                below = below && rules.may_show_below(&text);
            }
        }
        (shown, below)
    }
}

/// Opens a folder in another one; a link is none.
pub(super) fn open_folder(parent: BorrowedFd<'_>, name: &std::ffi::CStr, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).doing(|| format!("opening {}", path.display()))
}
