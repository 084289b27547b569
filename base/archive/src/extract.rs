//! Unpacks a tar stream below a directory.

mod attributes;
mod node;
mod remove;

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use linux::root::RootDir;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{ArchiveError, Result};
use crate::overlay::{Mark, mark};
use crate::reader::Reader;
use crate::{Entry, EntryKind, IdMap, Limits};

/// What becomes of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As in the archive; devices are made, attributes set. Needs root.
    Archive,
    /// Everything belongs to this user and group. Needs root.
    Fixed(u32, u32),
    /// Everything belongs to the caller; devices and privileged attributes are left out. For the client.
    Caller,
}

/// What becomes of whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// They are files like others.
    Plain,
    /// They become overlayfs' own marks: the target is a layer.
    Overlay,
}

/// How to unpack.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// What becomes of owners.
    pub owner: Owner,
    /// What becomes of whiteouts.
    pub whiteouts: Whiteouts,
    /// Fail when a directory would replace something else, or something else a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// Another name for the archive's first path component (the base name of a copy).
    pub rename_root: Option<OsString>,
    /// The tree is one of this user namespace, seen from outside: owners of the archive are meant inside.
    pub id_map: Option<IdMap>,
    /// Limits.
    pub limits: Limits,
}

impl ExtractOptions {
    /// For a layer into a fresh directory.
    pub fn layer() -> Self {
        Self { whiteouts: Whiteouts::Overlay, ..Self::copy() }
    }

    /// For a copy into an existing tree, as root.
    pub fn copy() -> Self {
        Self {
            owner: Owner::Archive,
            whiteouts: Whiteouts::Plain,
            no_overwrite_dir_non_dir: false,
            rename_root: None,
            id_map: None,
            limits: Limits::DEFAULT,
        }
    }

    /// For a copy into a user's own directory.
    pub fn client() -> Self {
        Self { owner: Owner::Caller, ..Self::copy() }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Members.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Unpacks an uncompressed tar stream to `base` below `root`. Links met in names resolve inside `root`; a member
/// whose name leads out of `base` is refused. The stream is read to its end.
pub fn extract(source: impl Read, root: &RootDir, base: &Path, options: &ExtractOptions) -> Result<Summary> {
    let mut reader = Reader::new(source, options.limits);
    let mut extraction =
        Extraction { root, base, options, parent: None, times: Vec::new(), summary: Summary::default() };
    while let Some(entry) = reader.next_entry()? {
        extraction.entry(&entry, &mut reader)?;
        extraction.summary.entries += 1;
        extraction.summary.bytes += entry.size;
    }
    extraction.set_directory_times();
    reader.drain()?;
    Ok(extraction.summary)
}

struct Extraction<'a> {
    root: &'a RootDir,
    base: &'a Path,
    options: &'a ExtractOptions,
    /// The directory of the last member: most members are beside each other.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories, set at the end because making members changes them.
    times: Vec<(PathBuf, i64, u32)>,
    summary: Summary,
}

impl Extraction<'_> {
    fn entry(&mut self, entry: &Entry, reader: &mut Reader<impl Read>) -> Result<()> {
        let path = self.renamed(clean(&entry.path)?);
        let Some(name) = path.file_name() else { return self.root_entry(entry) };
        let parent_path = path.parent().unwrap_or(Path::new(""));
        self.enter(parent_path)?;
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        let failed = |operation| {
            let path = path.clone();
            move |error: Errno| ArchiveError::Entry { operation, path, source: error.into() }
        };
        if self.options.whiteouts == Whiteouts::Overlay {
            match mark(name.as_bytes()) {
                Mark::Plain => {}
                Mark::Ignored => return Ok(()),
                Mark::Opaque => {
                    return attributes::set_opaque(parent.as_fd()).map_err(failed("mark as opaque"));
                }
                Mark::Whiteout(hidden) => {
                    return node::whiteout(parent.as_fd(), hidden).map_err(failed("make the whiteout"));
                }
            }
        }
        let place = node::Place { parent: parent.as_fd(), name, path: &path, options: self.options };
        let replaced = match entry.kind {
            EntryKind::Directory => place.directory(entry)?,
            EntryKind::File => place.file(entry, reader)?,
            EntryKind::HardLink => {
                let target = self.renamed(clean(Path::new(&entry.link))?);
                let directory = target.parent().unwrap_or(Path::new(""));
                let target_parent =
                    self.open_dir(directory).map_err(failed("find the hard link's target of"))?;
                place.hard_link(target_parent.as_fd(), &target)?
            }
            EntryKind::Symlink => place.symlink(entry)?,
            EntryKind::CharacterDevice | EntryKind::BlockDevice | EntryKind::Fifo => place.special(entry)?,
        };
        if replaced {
            // What was replaced may have been a directory on the way to the remembered one.
            self.parent = None;
        }
        if entry.kind == EntryKind::Directory {
            self.times.push((path, entry.seconds, entry.nanoseconds));
        }
        Ok(())
    }

    /// The member `.`: in a layer it says what the root directory is like, in a copy nothing.
    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if self.options.whiteouts == Whiteouts::Plain || entry.kind != EntryKind::Directory {
            return Ok(());
        }
        let failed = |error: Errno| ArchiveError::Entry {
            operation: "set attributes of",
            path: PathBuf::from("/"),
            source: error.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self.root.open_file(self.base, flags, Mode::empty()).map_err(failed)?;
        attributes::set(directory.as_fd(), entry, self.options).map_err(failed)?;
        self.times.push((PathBuf::new(), entry.seconds, entry.nanoseconds));
        Ok(())
    }

    /// Another first component, when one was asked for.
    fn renamed(&self, path: PathBuf) -> PathBuf {
        let Some(new) = &self.options.rename_root else { return path };
        let mut components = path.components();
        match components.next() {
            Some(_) => Path::new(new).join(components.as_path()).components().collect(),
            None => path,
        }
    }

    fn enter(&mut self, path: &Path) -> Result<()> {
        if self.parent.as_ref().is_some_and(|(known, _)| known == path) {
            return Ok(());
        }
        let found = match self.open_dir(path) {
            Err(Errno::NOENT) => self.root.make_dirs(self.base.join(path), Mode::from_raw_mode(0o755)),
            found => found,
        };
        let directory = found.map_err(|error| ArchiveError::Entry {
            operation: "open the directory",
            path: path.to_owned(),
            source: error.into(),
        })?;
        self.parent = Some((path.to_owned(), directory));
        Ok(())
    }

    fn open_dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.root.open_file(self.base.join(path), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Deeper ones come later in archives, so the last are set first. Who replaced a directory meanwhile keeps it.
    fn set_directory_times(&mut self) {
        for (path, seconds, nanoseconds) in self.times.drain(..).rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let path = if path.as_os_str().is_empty() { self.base.to_owned() } else { self.base.join(path) };
            if let Ok(directory) = self.root.open_file(&path, flags, Mode::empty()) {
                let _ = rustix::fs::futimens(&directory, &attributes::times(seconds, nanoseconds));
            }
        }
    }
}

/// A member's name without `.` and with `..` taken back; one that leads above the target is refused.
pub fn clean(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                if !clean.pop() {
                    return Err(ArchiveError::Outside { path: path.to_owned() });
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests;
