//! The walk through a folder: sorted by name in each folder, every file looked at once, no link followed.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use archive::EntryKind;
use linux::{Errno, SysResult};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};

use crate::context::Context;
use crate::error::ContextError;
use crate::ignore::Above;

/// Bytes of names read at once.
const NAMES: usize = 32 << 10;

/// How much a folder may ask of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names, ignored ones included as far as they are looked at.
    pub entries: u64,
    /// Folders in each other; each needs a descriptor while it is walked through.
    pub depth: usize,
    /// Bytes of a path.
    pub path_length: usize,
}

impl Limits {
    /// Far above any real context.
    pub const DEFAULT: Self = Self { entries: 5_000_000, depth: 256, path_length: 4095 };
}

/// Something in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder.
    pub path: PathBuf,
    /// What it is; never a hard link: `identity` tells files with several names.
    pub kind: EntryKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner and group on this machine; builds see root.
    pub owner: (u32, u32),
    /// Bytes of a file.
    pub size: u64,
    /// Time of the last change of the content: seconds since the epoch, nanoseconds.
    pub modified: (i64, u32),
    /// Time of the last change of the content or of anything else about the file, which nobody can set.
    pub changed: (i64, u32),
    /// Whether a file has other names.
    pub other_names: bool,
    /// Device and inode.
    pub identity: (u64, u64),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// What a symbolic link points to.
    pub link: OsString,
}

/// Goes through a context; ends after an error.
#[derive(Debug)]
pub struct Walk<'c> {
    context: &'c Context,
    /// Ignored files that are told nevertheless.
    kept: Vec<PathBuf>,
    folders: Vec<Folder>,
    /// A folder that was told and is entered next.
    next: Option<Folder>,
    /// Name of the last entry in the last folder.
    last: CString,
    started: bool,
    count: u64,
}

#[derive(Debug)]
struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    names: std::vec::IntoIter<(CString, FileType)>,
    above: Above,
}

/// A name after a look at it.
enum Found {
    Nothing,
    Entry(Entry),
    /// A folder, told or only looked through.
    Folder(Option<Entry>, Folder),
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, ContextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.step();
        if result.is_err() {
            self.folders.clear();
            self.next = None;
        }
        result.transpose()
    }
}

impl<'c> Walk<'c> {
    pub(crate) fn new(context: &'c Context, kept: Vec<PathBuf>) -> Self {
        let last = CString::default();
        Self { context, kept, folders: Vec::new(), next: None, last, started: false, count: 0 }
    }

    /// Opens the file that was told last for reading, without following a link that took its place.
    pub(crate) fn open_last(&self) -> SysResult<OwnedFd> {
        let folder = self.folders.last().ok_or(Errno::NOENT)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&folder.fd, &self.last, flags, Mode::empty())
    }

    fn step(&mut self) -> Result<Option<Entry>, ContextError> {
        if !std::mem::replace(&mut self.started, true) {
            let root = self.folder(c".", PathBuf::new(), Above::default(), self.context.root())?;
            self.folders.extend(root);
        }
        self.folders.extend(self.next.take());
        loop {
            let Some(folder) = self.folders.last_mut() else { return Ok(None) };
            let Some((name, kind)) = folder.names.next() else {
                self.folders.pop();
                continue;
            };
            self.last = name;
            match self.look(kind)? {
                Found::Nothing => {}
                Found::Entry(entry) => return Ok(Some(entry)),
                Found::Folder(None, folder) => self.folders.push(folder),
                Found::Folder(told, folder) => {
                    self.next = Some(folder);
                    return Ok(told);
                }
            }
        }
    }

    /// Looks at the name `last` in the last folder.
    fn look(&mut self, kind: FileType) -> Result<Found, ContextError> {
        let Some(parent) = self.folders.last() else { return Ok(Found::Nothing) };
        let path = parent.path.join(OsStr::from_bytes(self.last.to_bytes()));
        self.count += 1;
        let limits = self.context.limits();
        within("entries in the context", self.count, limits.entries)?;
        within("bytes in a path", path.as_os_str().len() as u64, limits.path_length as u64)?;
        let text = path.to_string_lossy();
        let ignored = self.context.ignore().is_ignored_in(&parent.above, &text) && !self.kept.contains(&path);
        let is_folder = match kind {
            // Some file systems do not tell.
            FileType::Unknown => None,
            kind => Some(kind == FileType::Directory),
        };
        let looked_through = || is_folder != Some(false) && self.shows_below(&text, &path);
        if ignored && !looked_through() {
            return Ok(Found::Nothing);
        }
        let stat = match rustix::fs::statat(&parent.fd, &self.last, AtFlags::SYMLINK_NOFOLLOW) {
            // It went away meanwhile.
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            stat => stat.map_err(ContextError::read("look at", &self.place(&path)))?,
        };
        match EntryKind::of(FileType::from_raw_mode(stat.st_mode)) {
            Some(EntryKind::Directory) => {
                let above = self.context.ignore().enter(&parent.above, &text);
                let told = (!ignored).then(|| entry(path.clone(), EntryKind::Directory, &stat));
                let folder = self.folder(&self.last, path, above, &parent.fd)?;
                Ok(folder.map_or(Found::Nothing, |folder| Found::Folder(told, folder)))
            }
            Some(kind) if !ignored => self.entry(path, kind, &stat, parent).map(Found::Entry),
            _ => Ok(Found::Nothing),
        }
    }

    fn entry(
        &self,
        path: PathBuf,
        kind: EntryKind,
        stat: &Stat,
        parent: &Folder,
    ) -> Result<Entry, ContextError> {
        let mut entry = entry(path, kind, stat);
        if kind == EntryKind::Symlink {
            let link = rustix::fs::readlinkat(&parent.fd, &self.last, Vec::new());
            let link = link.map_err(ContextError::read("read the link", &self.place(&entry.path)))?;
            entry.link = OsString::from_vec(link.into_bytes());
        }
        Ok(entry)
    }

    fn shows_below(&self, text: &str, path: &Path) -> bool {
        self.context.ignore().may_show_below(text) || self.kept.iter().any(|kept| kept.starts_with(path))
    }

    /// Opens a folder and reads the names in it; none when there is no folder any more.
    fn folder(
        &self,
        name: &CStr,
        path: PathBuf,
        above: Above,
        parent: impl AsFd,
    ) -> Result<Option<Folder>, ContextError> {
        within("folders in each other", self.folders.len() as u64, self.context.limits().depth as u64)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !path.as_os_str().is_empty() => {
                return Ok(None);
            }
            fd => fd.map_err(ContextError::read("open", &self.place(&path)))?,
        };
        let left = self.context.limits().entries.saturating_sub(self.count);
        let names = names(&fd, left).map_err(ContextError::read("list", &self.place(&path)))?;
        Ok(Some(Folder { fd, path, names: names.into_iter(), above }))
    }

    /// A path with that of the context in front, for messages.
    fn place(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.context.path().to_owned()
        } else {
            self.context.path().join(path)
        }
    }
}

fn within(what: &'static str, count: u64, limit: u64) -> Result<(), ContextError> {
    if count > limit { Err(ContextError::Limit { what, limit }) } else { Ok(()) }
}

/// The names in a folder, sorted by their bytes; no more than one above the limit, which the walk then notices.
fn names(folder: &OwnedFd, most: u64) -> SysResult<Vec<(CString, FileType)>> {
    let mut space = [const { MaybeUninit::uninit() }; NAMES];
    let mut list = RawDir::new(folder, &mut space);
    let mut names = Vec::new();
    while let Some(entry) = list.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
        if names.len() as u64 > most {
            break;
        }
    }
    names.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(names)
}

fn entry(path: PathBuf, kind: EntryKind, stat: &Stat) -> Entry {
    let nanoseconds = |number: u64| u32::try_from(number).unwrap_or_default();
    Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
        size: if kind == EntryKind::File { stat.st_size.cast_unsigned() } else { 0 },
        modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
        changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        other_names: stat.st_nlink > 1,
        identity: (stat.st_dev, stat.st_ino),
        device: match kind {
            EntryKind::CharacterDevice | EntryKind::BlockDevice => {
                (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
            }
            _ => (0, 0),
        },
        link: OsString::new(),
    }
}
