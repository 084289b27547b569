//! Unpacks a tar stream below a directory.

mod attributes;
mod beside;
mod node;
mod remove;

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use linux::root::RootDir;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{ArchiveError, Result};
use crate::extract::beside::{Beside, Job};
use crate::extract::node::Done;
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
    /// The target is empty and nobody else's: files may be made side by side.
    pub fresh: bool,
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
        Self { whiteouts: Whiteouts::Overlay, fresh: true, ..Self::copy() }
    }

    /// For a copy into an existing tree, as root.
    pub fn copy() -> Self {
        Self {
            owner: Owner::Archive,
            whiteouts: Whiteouts::Plain,
            no_overwrite_dir_non_dir: false,
            fresh: false,
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
    /// What was made below the target. None when members met what was there already, or directories without a member
    /// of their own: then it takes a look at the files.
    pub made: Option<Usage>,
}

/// What a tree takes; a file with several names counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in the files, as Docker counts image and container sizes.
    pub size: u64,
    /// Bytes on disk, as `du` counts them.
    pub disk: u64,
    /// Files, directories and other inodes.
    pub inodes: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.size += other.size;
        self.disk += other.disk;
        self.inodes += other.inodes;
    }
}

impl Usage {
    /// Counts a file that is not a directory.
    fn add(&mut self, stat: &Stat) {
        self.size += stat.st_size.cast_unsigned();
        self.disk += disk_of(stat);
        self.inodes += 1;
    }
}

fn disk_of(stat: &Stat) -> u64 {
    stat.st_blocks.cast_unsigned() * 512
}

/// Unpacks an uncompressed tar stream to `base` below `root`. Links met in names resolve inside `root`; a member
/// whose name leads out of `base` is refused. The stream is read to its end.
pub fn extract(source: impl Read, root: &RootDir, base: &Path, options: &ExtractOptions) -> Result<Summary> {
    let mut reader = Reader::new(source, options.limits);
    let summary = Summary { made: Some(Usage::default()), ..Summary::default() };
    std::thread::scope(|scope| {
        let beside = Beside::new(scope, options);
        let mut extraction =
            Extraction { root, base, options, parent: None, times: Vec::new(), summary, beside };
        while let Some(entry) = reader.next_entry()? {
            extraction.summary.entries += 1;
            extraction.summary.bytes += entry.size;
            extraction.entry(entry, &mut reader)?;
        }
        extraction.one_by_one()?;
        extraction.set_directory_times();
        reader.drain()?;
        Ok(extraction.summary)
    })
}

struct Extraction<'scope, 'a> {
    root: &'a RootDir,
    base: &'a Path,
    options: &'a ExtractOptions,
    /// The directory of the last member: most members are beside each other.
    parent: Option<Arc<Parent>>,
    /// Times of directories, set at the end because making members changes them.
    times: Vec<(PathBuf, i64, u32)>,
    summary: Summary,
    /// Makes files aside, as long as that is possible.
    beside: Option<Beside<'scope, 'a>>,
}

/// A directory that members are made in.
struct Parent {
    path: PathBuf,
    directory: OwnedFd,
    inode: u64,
}

impl Extraction<'_, '_> {
    fn entry(&mut self, entry: Entry, reader: &mut Reader<impl Read>) -> Result<()> {
        let path = self.renamed(clean(&entry.path)?);
        let Some(name) = path.file_name() else { return self.root_entry(&entry) };
        let parent_path = path.parent().unwrap_or(Path::new(""));
        self.enter(parent_path)?;
        let Some(parent) = self.parent.clone() else { return Ok(()) };
        let parent_fd = parent.directory.as_fd();
        let failed = |operation| {
            let path = path.clone();
            move |error: Errno| ArchiveError::Entry { operation, path, source: error.into() }
        };
        if self.options.whiteouts == Whiteouts::Overlay {
            match mark(name.as_bytes()) {
                Mark::Plain => {}
                Mark::Ignored => return Ok(()),
                Mark::Opaque => {
                    return attributes::set_opaque(parent_fd).map_err(failed("mark as opaque"));
                }
                Mark::Whiteout(hidden) => {
                    self.claim(&parent, OsStr::from_bytes(hidden))?;
                    let made = node::whiteout(parent_fd, hidden).map_err(failed("make the whiteout"))?;
                    self.count(made);
                    return Ok(());
                }
            }
        }
        self.member(parent, path, entry, reader)
    }

    /// A member that is what its name says.
    fn member(
        &mut self,
        parent: Arc<Parent>,
        path: PathBuf,
        entry: Entry,
        reader: &mut Reader<impl Read>,
    ) -> Result<()> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let is_new = self.claim(&parent, name)?;
        if let Some(beside) = self.beside.as_mut().filter(|_| {
            is_new
                && entry.kind == EntryKind::File
                && entry.size <= beside::SMALL
                && reader.pieces().is_none()
        }) {
            let content = reader.read_small(entry.size)?;
            return beside.make(Job { parent, path, entry, content });
        }
        let place =
            node::Place { parent: parent.directory.as_fd(), name, path: &path, options: self.options };
        let done = match entry.kind {
            EntryKind::Directory => place.directory(&entry)?,
            EntryKind::File => place.file(&entry, reader)?,
            EntryKind::HardLink => {
                let target = self.renamed(clean(Path::new(&entry.link))?);
                let directory = target.parent().unwrap_or(Path::new(""));
                let target_parent = self.open_dir(directory).map_err(|error| ArchiveError::Entry {
                    operation: "find the hard link's target of",
                    path: path.clone(),
                    source: error.into(),
                })?;
                self.wait_for(&target_parent, &target)?;
                place.hard_link(target_parent.as_fd(), &target)?
            }
            EntryKind::Symlink => place.symlink(&entry)?,
            EntryKind::CharacterDevice | EntryKind::BlockDevice | EntryKind::Fifo => place.special(&entry)?,
        };
        if matches!(done, Done::Replaced) {
            // What was replaced may have been a directory on the way to the remembered one.
            self.parent = None;
        }
        self.count(done);
        if entry.kind == EntryKind::Directory {
            self.times.push((path, entry.seconds, entry.nanoseconds));
        }
        Ok(())
    }

    fn count(&mut self, done: Done) {
        let Some(made) = &mut self.summary.made else { return };
        match done {
            Done::Made(Some(stat)) => made.add(&stat),
            // How much it takes is known when everything is in it.
            Done::Made(None) => made.inodes += 1,
            Done::Nothing => {}
            Done::Found | Done::Replaced => self.summary.made = None,
        }
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
        if self.parent.as_ref().is_some_and(|known| known.path == path) {
            return Ok(());
        }
        let found = match self.open_dir(path) {
            Err(Errno::NOENT) => {
                // A file of that name may be on its way. Directories nobody named are not known by name: from here
                // on, one thing comes after the other.
                self.one_by_one()?;
                self.summary.made = None;
                self.root.make_dirs(self.base.join(path), Mode::from_raw_mode(0o755))
            }
            found => found,
        };
        let failed = |error: Errno| ArchiveError::Entry {
            operation: "open the directory",
            path: path.to_owned(),
            source: error.into(),
        };
        let directory = found.map_err(failed)?;
        let inode = match self.beside {
            Some(_) => rustix::fs::fstat(&directory).map_err(failed)?.st_ino,
            None => 0,
        };
        self.parent = Some(Arc::new(Parent { path: path.to_owned(), directory, inode }));
        Ok(())
    }

    /// Takes a name for a member; what has the name already is there when this comes back. Whether it is new.
    fn claim(&mut self, parent: &Parent, name: &OsStr) -> Result<bool> {
        let Some(beside) = &mut self.beside else { return Ok(false) };
        if beside.is_full() {
            self.one_by_one()?;
            return Ok(false);
        }
        let is_new = beside.is_new(parent.inode, name);
        if !is_new {
            beside.settle()?;
        }
        Ok(is_new)
    }

    /// Waits until a file is there, if it is one of this archive.
    fn wait_for(&mut self, parent: &OwnedFd, path: &Path) -> Result<()> {
        let (Some(beside), Some(name)) = (&mut self.beside, path.file_name()) else { return Ok(()) };
        let inode = rustix::fs::fstat(parent).map_or(0, |stat| stat.st_ino);
        if beside.knows(inode, name) { beside.settle() } else { Ok(()) }
    }

    /// Makes nothing aside any more; everything is there when this comes back.
    fn one_by_one(&mut self) -> Result<()> {
        let Some(beside) = self.beside.take() else { return Ok(()) };
        let made = beside.finish()?;
        self.summary.made = self.summary.made.zip(made).map(|(mut all, made)| {
            all += made;
            all
        });
        Ok(())
    }

    fn open_dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.root.open_file(self.base.join(path), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Deeper ones come later in archives, so the last are set first. Who replaced a directory meanwhile keeps it.
    /// Everything is in them now: what they take is counted too.
    fn set_directory_times(&mut self) {
        for (path, seconds, nanoseconds) in self.times.drain(..).rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let is_root = path.as_os_str().is_empty();
            let path = if is_root { self.base.to_owned() } else { self.base.join(path) };
            let Ok(directory) = self.root.open_file(&path, flags, Mode::empty()) else {
                self.summary.made = None;
                continue;
            };
            let _ = rustix::fs::futimens(&directory, &attributes::times(seconds, nanoseconds));
            if let Some(made) = self.summary.made.as_mut().filter(|_| !is_root) {
                made.disk += rustix::fs::fstat(&directory).as_ref().map_or(0, disk_of);
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
