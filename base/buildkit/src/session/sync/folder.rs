//! The directory on disk: each step below a descriptor of its directory, one name at a time, no link followed.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat as Kernel, Timespec, Timestamps, Uid};

use crate::fsutil::{Stat, mode};

/// A directory that is open, and the names that were announced in it.
#[derive(Debug)]
pub(super) struct Open {
    fd: OwnedFd,
    names: HashSet<OsString>,
    /// What it is to look like when it is complete; nothing for the folder itself.
    stat: Option<Stat>,
}

/// What has to be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is as it should be.
    Done,
    /// It is there, empty, and wants its bytes.
    WantsBytes,
}

impl Open {
    /// The folder itself.
    pub(super) fn root(root: &RootDir) -> SysResult<Self> {
        Ok(Self { fd: open_dir(root.as_fd(), OsStr::new("."))?, names: HashSet::new(), stat: None })
    }

    /// A directory in this one, made when it is missing.
    pub(super) fn enter(&mut self, name: &str, stat: Stat) -> SysResult<Self> {
        let name = self.announce(name);
        match look(&self.fd, &name)? {
            Some(found) if kind(&found) == FileType::Directory => {}
            found => {
                if found.is_some() {
                    remove(self.fd.as_fd(), &name)?;
                }
                rustix::fs::mkdirat(&self.fd, &*name, Mode::from(0o700))?;
            }
        }
        Ok(Self { fd: open_dir(self.fd.as_fd(), &name)?, names: HashSet::new(), stat: Some(stat) })
    }

    /// A file, link or other thing in this directory; `root` is asked for the target of hard links only.
    pub(super) fn place(&mut self, root: &RootDir, name: &str, stat: &Stat) -> SysResult<Placed> {
        let name = self.announce(name);
        let found = look(&self.fd, &name)?;
        if stat.mode & mode::KIND == 0 && !stat.linkname.is_empty() {
            return self.hard_link(root, &name, found.as_ref(), &stat.linkname).map(|()| Placed::Done);
        }
        if let Some(found) = &found
            && self.is_same(&name, found, stat)?
        {
            return Ok(Placed::Done);
        }
        if found.is_some() {
            remove(self.fd.as_fd(), &name)?;
        }
        match stat.mode & mode::KIND {
            0 => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                drop(rustix::fs::openat(&self.fd, &*name, flags, Mode::from(0o600))?);
                return Ok(Placed::WantsBytes);
            }
            mode::SYMLINK => rustix::fs::symlinkat(stat.linkname.as_str(), &self.fd, &*name)?,
            kind => self.node(&name, kind, stat)?,
        }
        self.finish_other(&name, stat)?;
        Ok(Placed::Done)
    }

    fn announce(&mut self, name: &str) -> OsString {
        let name = OsString::from(name);
        self.names.insert(name.clone());
        name
    }

    fn hard_link(&self, root: &RootDir, name: &OsStr, found: Option<&Kernel>, target: &str) -> SysResult<()> {
        let (directory, last) = match target.rsplit_once('/') {
            Some((directory, last)) => (root.resolve_plain(directory)?, last),
            None => (rustix::io::dup(root.as_fd())?, target),
        };
        let there = rustix::fs::statat(&directory, last, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&there) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        if let Some(found) = found {
            if (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino) {
                return Ok(());
            }
            remove(self.fd.as_fd(), name)?;
        }
        rustix::fs::linkat(&directory, last, &self.fd, name, AtFlags::empty())
    }

    fn node(&self, name: &OsStr, kind: u32, stat: &Stat) -> SysResult<()> {
        let file_type = match kind {
            mode::NAMED_PIPE => FileType::Fifo,
            mode::DEVICE => FileType::BlockDevice,
            _ => FileType::CharacterDevice,
        };
        rustix::fs::mknodat(&self.fd, name, file_type, Mode::from(0o600), device(stat))
    }

    /// Whether a file is as the client has it, as far as that can be seen without its bytes.
    fn is_same(&self, name: &OsStr, found: &Kernel, stat: &Stat) -> SysResult<bool> {
        let wanted_kind = match stat.mode & mode::KIND {
            0 => FileType::RegularFile,
            mode::SYMLINK => FileType::Symlink,
            mode::NAMED_PIPE => FileType::Fifo,
            mode::DEVICE => FileType::BlockDevice,
            _ => FileType::CharacterDevice,
        };
        let same = kind(found) == wanted_kind
            && (found.st_uid, found.st_gid) == (stat.uid, stat.gid)
            && nanos(found) == i128::from(stat.mod_time);
        Ok(same
            && match wanted_kind {
                FileType::RegularFile => found.st_size == stat.size && bits(found) == permissions(stat.mode),
                FileType::Symlink => {
                    rustix::fs::readlinkat(&self.fd, name, Vec::new())?.as_bytes() == stat.linkname.as_bytes()
                }
                FileType::Fifo => bits(found) == permissions(stat.mode),
                _ => bits(found) == permissions(stat.mode) && found.st_rdev == device(stat),
            })
    }

    fn finish_other(&self, name: &OsStr, stat: &Stat) -> SysResult<()> {
        let (uid, gid) = owner(stat);
        rustix::fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        if stat.mode & mode::KIND != mode::SYMLINK {
            rustix::fs::chmodat(&self.fd, name, Mode::from(permissions(stat.mode)), AtFlags::empty())?;
        }
        rustix::fs::utimensat(&self.fd, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Removes what was not announced, unless others may have things here too, and gives the directory its last
    /// looks; how many things were removed.
    pub(super) fn complete(self, merging: bool) -> SysResult<u64> {
        let mut removed = 0;
        let there = if merging { Vec::new() } else { names(self.fd.as_fd())? };
        for name in there {
            if !self.names.contains(&name) {
                remove(self.fd.as_fd(), &name)?;
                removed += 1;
            }
        }
        if let Some(stat) = &self.stat {
            finish(self.fd.as_fd(), stat)?;
        }
        Ok(removed)
    }
}

/// Opens an empty file that waits for its bytes.
pub(super) fn open_for_bytes(root: &RootDir, path: &str) -> SysResult<OwnedFd> {
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (root.resolve_plain(directory)?, name),
        None => (rustix::io::dup(root.as_fd())?, path),
    };
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Gives a file or directory owner, permissions, attributes and time, in the order in which none undoes another.
pub(super) fn finish(file: BorrowedFd<'_>, stat: &Stat) -> SysResult<()> {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(file, uid, gid)?;
    rustix::fs::fchmod(file, Mode::from(permissions(stat.mode)))?;
    for (name, value) in &stat.xattrs {
        if name == "security.capability" || name.starts_with("user.") {
            match rustix::fs::fsetxattr(file, name.as_str(), value, rustix::fs::XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP | Errno::PERM | Errno::INVAL | Errno::NOSPC | Errno::RANGE) => {}
                Err(error) => return Err(error),
            }
        }
    }
    rustix::fs::futimens(file, &times(stat))
}

/// Go's bits as the kernel's.
pub(super) fn permissions(bits: u32) -> u32 {
    let mut permissions = bits & 0o777;
    for (go, kernel) in [(mode::SETUID, 0o4000), (mode::SETGID, 0o2000), (mode::STICKY, 0o1000)] {
        if bits & go != 0 {
            permissions |= kernel;
        }
    }
    permissions
}

fn bits(found: &Kernel) -> u32 {
    found.st_mode & 0o7777
}

fn kind(found: &Kernel) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

fn nanos(found: &Kernel) -> i128 {
    i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    // All bits set means nobody in the kernel's words, and leaves the owner.
    let uid = (stat.uid != u32::MAX).then(|| Uid::from_raw(stat.uid));
    let gid = (stat.gid != u32::MAX).then(|| Gid::from_raw(stat.gid));
    (uid, gid)
}

fn device(stat: &Stat) -> u64 {
    let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    rustix::fs::makedev(number(stat.devmajor), number(stat.devminor))
}

fn times(stat: &Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: stat.mod_time.div_euclid(1_000_000_000),
        tv_nsec: stat.mod_time.rem_euclid(1_000_000_000),
    };
    Timestamps { last_access: time, last_modification: time }
}

fn look(directory: &OwnedFd, name: &OsStr) -> SysResult<Option<Kernel>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_dir(at: BorrowedFd<'_>, name: &OsStr) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn names(directory: BorrowedFd<'_>) -> SysResult<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// Removes whatever has a name, a directory with all that is in it. Not recursive: the tree was limited in depth when
/// it came, but somebody else may have made it deeper.
fn remove(at: BorrowedFd<'_>, name: &OsStr) -> SysResult<()> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let mut open = vec![(open_dir(at, name)?, name.to_owned())];
    while let Some((directory, _)) = open.last() {
        let mut inner = None;
        for name in names(directory.as_fd())? {
            match rustix::fs::unlinkat(directory, &*name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::ISDIR | Errno::PERM) => inner = Some(name),
                Err(error) => return Err(error),
            }
        }
        if let Some(name) = inner {
            let fd = open_dir(directory.as_fd(), &name)?;
            open.push((fd, name));
        } else if let Some((_, name)) = open.pop() {
            let above = open.last().map_or(at, |(fd, _)| fd.as_fd());
            rustix::fs::unlinkat(above, &*name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}
