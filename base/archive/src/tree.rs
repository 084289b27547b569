//! Writes a tree as a tar stream: sorted, hard links recognised, the same bytes for the same tree.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{ArchiveError, Result};
use crate::limits::Limits;
use crate::overlay::{OPAQUE_NAME, OPAQUE_XATTR, WHITEOUT_PREFIX, is_overlay_xattr};
use crate::{Entry, EntryKind, IdMap, Writer};

/// How to write a tree.
#[derive(Debug, Clone, Default)]
pub struct TreeOptions {
    /// Write the directory itself as first entry, under this name (`.` for the usual `./`).
    pub root_name: Option<OsString>,
    /// The tree is overlayfs' upper layer: its marks become whiteout files.
    pub whiteouts: bool,
    /// Stay on the file system the tree starts on: what is mounted in it appears as an empty directory.
    pub one_file_system: bool,
    /// Owner of all entries; none for the real ones.
    pub owner: Option<(u32, u32)>,
    /// The tree is one of this user namespace, seen from outside: owners are told as they are inside.
    pub id_map: Option<IdMap>,
}

impl TreeOptions {
    /// A whole root file system, without an entry for itself.
    pub fn whole() -> Self {
        Self::default()
    }

    /// The upper layer of an overlay as an image layer.
    pub fn layer() -> Self {
        Self { whiteouts: true, ..Self::default() }
    }

    /// A directory or file with its base name as the first entry.
    pub fn named(name: impl Into<OsString>) -> Self {
        Self { root_name: Some(name.into()), ..Self::default() }
    }
}

/// Writes the tree below an open directory (an O_PATH descriptor will do).
pub fn write_tree(root: BorrowedFd<'_>, options: &TreeOptions, out: &mut dyn Write) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(root, c".", flags, Mode::empty());
    let root = root.map_err(tree_error("open", Path::new("/")))?;
    let mut walk = Walk::new(options, out);
    let name = options.root_name.clone().unwrap_or_default();
    if options.root_name.is_some() {
        walk.directory_entry(&root, Path::new(&name))?;
    } else {
        walk.note_device(&root)?;
    }
    let prefix = PathBuf::from(name);
    walk.children(&root, &prefix, 0)?;
    walk.writer.finish()?;
    Ok(())
}

/// Writes one name of a directory, whatever it is, and everything below. `options.root_name` is its name in the
/// archive, by default the same.
pub fn write_path(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    options: &TreeOptions,
    out: &mut dyn Write,
) -> Result<()> {
    let in_archive = PathBuf::from(options.root_name.clone().unwrap_or_else(|| name.to_owned()));
    let c_name = CString::new(name.as_bytes()).map_err(|_| ArchiveError::Field { what: "name" })?;
    let mut walk = Walk::new(options, out);
    walk.entry(parent, &c_name, &in_archive, 0)?;
    walk.writer.finish()?;
    Ok(())
}

struct Walk<'a> {
    options: &'a TreeOptions,
    writer: Writer<&'a mut dyn Write>,
    /// Files with several names, and the name they were written under first.
    links: HashMap<(u64, u64), PathBuf>,
    device: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(options: &'a TreeOptions, out: &'a mut dyn Write) -> Self {
        Self { options, writer: Writer::new(out), links: HashMap::new(), device: None }
    }

    fn note_device(&mut self, directory: &OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(directory).map_err(tree_error("look at", Path::new("/")))?;
        self.device.get_or_insert(stat.st_dev);
        Ok(())
    }

    fn children(&mut self, directory: &OwnedFd, path: &Path, depth: usize) -> Result<()> {
        if depth > Limits::DEFAULT.depth {
            let limit = Limits::DEFAULT.depth as u64;
            return Err(ArchiveError::Limit { what: "components in a name", limit });
        }
        for name in sorted_names(directory).map_err(tree_error("list", path))? {
            let child = path.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(directory.as_fd(), &name, &child, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &Path, depth: usize) -> Result<()> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It disappeared meanwhile. What was asked for by name has to be there.
            Err(Errno::NOENT) if depth > 0 || self.device.is_some() => return Ok(()),
            result => result.map_err(tree_error("look at", path))?,
        };
        self.device.get_or_insert(stat.st_dev);
        if self.options.whiteouts && is_whiteout(&stat) {
            return self.mark(path, WHITEOUT_PREFIX, path.file_name().unwrap_or_default(), &stat);
        }
        let Some(kind) = EntryKind::of(FileType::from_raw_mode(stat.st_mode)) else { return Ok(()) };
        if kind == EntryKind::Directory {
            return self.directory(parent, name, path, depth, &stat);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let mut entry = self.base(path, EntryKind::HardLink, &stat);
                entry.link = first.clone().into_os_string();
                return self.writer.append_empty(&entry);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        match kind {
            EntryKind::File => self.file(parent, name, path),
            EntryKind::Symlink => {
                let text =
                    rustix::fs::readlinkat(parent, name, Vec::new()).map_err(tree_error("read", path))?;
                let mut entry = self.base(path, kind, &stat);
                entry.link = OsStr::from_bytes(text.to_bytes()).to_owned();
                self.writer.append_empty(&entry)
            }
            _ => {
                let mut entry = self.base(path, kind, &stat);
                entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                self.writer.append_empty(&entry)
            }
        }
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        depth: usize,
        stat: &Stat,
    ) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(parent, name, flags, Mode::empty());
        let directory = directory.map_err(tree_error("open", path))?;
        self.directory_entry(&directory, path)?;
        if self.options.one_file_system && self.device != Some(stat.st_dev) {
            return Ok(());
        }
        self.children(&directory, path, depth + 1)
    }

    fn directory_entry(&mut self, directory: &OwnedFd, path: &Path) -> Result<()> {
        let stat = rustix::fs::fstat(directory).map_err(tree_error("look at", path))?;
        self.device.get_or_insert(stat.st_dev);
        let mut entry = self.base(path, EntryKind::Directory, &stat);
        entry.xattrs = xattrs(directory.as_fd()).map_err(tree_error("read attributes of", path))?;
        self.writer.append_empty(&entry)?;
        if self.options.whiteouts && is_opaque(directory.as_fd()) {
            return self.mark(&path.join("x"), b"", OsStr::from_bytes(OPAQUE_NAME), &stat);
        }
        Ok(())
    }

    /// The file is looked at again when it is open: between the two looks it may have become something else.
    fn file(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(tree_error("open", path))?;
        let stat = rustix::fs::fstat(&file).map_err(tree_error("look at", path))?;
        if !linux::root::is_regular(&stat) {
            return Ok(());
        }
        let mut entry = self.base(path, EntryKind::File, &stat);
        entry.size = stat.st_size.cast_unsigned();
        entry.xattrs = xattrs(file.as_fd()).map_err(tree_error("read attributes of", path))?;
        // A file that shrinks while it is read gets zeros for what is missing, as with every tar.
        let size = entry.size;
        self.writer.append(&entry, &mut File::from(file).chain(std::io::repeat(0)).take(size))
    }

    fn mark(&mut self, path: &Path, prefix: &[u8], name: &OsStr, stat: &Stat) -> Result<()> {
        let name = [prefix, name.as_bytes()].concat();
        let entry = self.base(&path.with_file_name(OsStr::from_bytes(&name)), EntryKind::File, stat);
        self.writer.append_empty(&Entry { mode: 0o600, ..entry })
    }

    /// Times have whole seconds, as in Docker's archives: a fraction would cost every entry a second header.
    fn base(&self, path: &Path, kind: EntryKind, stat: &Stat) -> Entry {
        let mut entry = Entry::new(path, kind, stat.st_mode & 0o7777);
        (entry.uid, entry.gid) = match (self.options.owner, &self.options.id_map) {
            (Some(owner), _) => owner,
            (None, Some(map)) => map.inside(stat.st_uid, stat.st_gid),
            (None, None) => (stat.st_uid, stat.st_gid),
        };
        entry.seconds = stat.st_mtime;
        entry
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory of an upper layer hides everything below.
pub fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    let mut value = [0u8; 2];
    matches!(rustix::fs::fgetxattr(directory, OPAQUE_XATTR, &mut value), Ok(1) if value.first() == Some(&b'y'))
}

/// The names in a directory, sorted by their bytes.
pub fn sorted_names(directory: impl AsFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The extended attributes of an open file that belong into an archive.
pub fn xattrs_of(file: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    xattrs(file.as_fd())
}

fn xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = [0u8; 4096];
    let length = match rustix::fs::flistxattr(file, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(Errno::RANGE) => return long_xattrs(file),
        length => length?,
    };
    read_xattrs(file, names.get(..length).unwrap_or_default())
}

fn long_xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0u8; 1 << 16];
    let length = rustix::fs::flistxattr(file, &mut names)?;
    read_xattrs(file, names.get(..length).unwrap_or_default())
}

fn read_xattrs(file: BorrowedFd<'_>, names: &[u8]) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut value = vec![0u8; 1 << 16];
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(c_name) = CStr::from_bytes_with_nul(name) else { continue };
        let name = c_name.to_bytes();
        // Labels of security modules belong to the machine, not to the file.
        if is_overlay_xattr(name) || name == b"security.selinux" {
            continue;
        }
        match rustix::fs::fgetxattr(file, c_name, &mut value) {
            Err(Errno::NODATA) => {}
            length => found.push((name.to_vec(), value.get(..length?).unwrap_or_default().to_vec())),
        }
    }
    found.sort();
    Ok(found)
}

fn tree_error(operation: &'static str, path: &Path) -> impl FnOnce(Errno) -> ArchiveError {
    move |error| ArchiveError::Tree { operation, path: path.to_owned(), source: error.into() }
}
