//! One member of an archive.

use std::ffi::OsString;
use std::path::PathBuf;

use rustix::fs::FileType;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file with content.
    File,
    /// Another name of a file that came before.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

impl EntryKind {
    /// What a file of a tree becomes; sockets have no place in an archive.
    pub fn of(kind: FileType) -> Option<Self> {
        Some(match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Socket | FileType::Unknown => return None,
        })
    }
}

/// A member: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as written, without a slash at its end.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, often empty.
    pub user: String,
    /// Group's name, often empty.
    pub group: String,
    /// Modification time, seconds since the epoch.
    pub seconds: i64,
    /// Modification time, nanoseconds within the second.
    pub nanoseconds: u32,
    /// Bytes of content, holes included.
    pub size: u64,
    /// Text of a symbolic link, name of a hard link's target.
    pub link: OsString,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An entry of root with no content.
    pub fn new(path: impl Into<PathBuf>, kind: EntryKind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            seconds: 0,
            nanoseconds: 0,
            size: 0,
            link: OsString::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// A file of a size.
    pub fn file(path: impl Into<PathBuf>, mode: u32, size: u64) -> Self {
        Self { size, ..Self::new(path, EntryKind::File, mode) }
    }

    /// A directory.
    pub fn directory(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::new(path, EntryKind::Directory, mode)
    }
}
