//! A directory of ours as files for the client, in the order the client wants them.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use linux::SysResult;
use linux::root::RootDir;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat as Kernel};

use crate::fsutil::{Stat, mode};

/// Directories in each other that are followed.
const DEEPEST: usize = 256;

/// Walks a directory: a directory before what is in it, names sorted. Each thing with the descriptor of the directory
/// it is in.
///
/// # Errors
/// What looking gives; ELOOP when it is too deep; names that are no text (EILSEQ), which the protocol cannot carry.
pub(super) fn walk<E: From<linux::Errno>>(
    root: &RootDir,
    visit: &mut dyn FnMut(Stat) -> Result<(), E>,
) -> Result<(), E> {
    let mut open = vec![Level::new(open_dir(root.as_fd(), ".")?, String::new())?];
    while let Some(level) = open.last_mut() {
        let Some(name) = level.names.pop() else {
            open.pop();
            continue;
        };
        let path = if level.path.is_empty() { name.clone() } else { format!("{}/{name}", level.path) };
        let found = rustix::fs::statat(&level.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let stat = describe(level.fd.as_fd(), &name, path.clone(), &found)?;
        let is_directory = stat.mode & mode::DIR != 0;
        let inner = if is_directory { Some(open_dir(level.fd.as_fd(), &name)?) } else { None };
        visit(stat)?;
        if let Some(fd) = inner {
            if open.len() > DEEPEST {
                return Err(linux::Errno::LOOP.into());
            }
            open.push(Level::new(fd, path)?);
        }
    }
    Ok(())
}

/// What is in a directory of ours, sorted by name.
///
/// # Errors
/// What looking gives; E2BIG when there is too much, EILSEQ for names that are no text.
pub fn list(root: &RootDir, path: &str) -> SysResult<Vec<Stat>> {
    let directory = root.subroot(path)?;
    let mut level = Level::new(open_dir(directory.as_fd(), ".")?, String::new())?;
    if level.names.len() > MOST_LISTED {
        return Err(linux::Errno::TOOBIG);
    }
    level.names.reverse();
    let describe = |name: &String| {
        let found = rustix::fs::statat(&level.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        describe(level.fd.as_fd(), name, name.clone(), &found)
    };
    level.names.iter().map(describe).collect()
}

/// What a path means; a link is followed, inside the root.
///
/// # Errors
/// What looking gives.
pub fn look(root: &RootDir, path: &str) -> SysResult<Stat> {
    let found = root.stat(path)?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    describe(root.as_fd(), ".", name.to_owned(), &found)
}

/// Entries of a directory that are listed at once; the answer is one message.
const MOST_LISTED: usize = 50_000;

struct Level {
    fd: OwnedFd,
    path: String,
    /// The names to come, the next one last.
    names: Vec<String>,
}

impl Level {
    fn new(fd: OwnedFd, path: String) -> SysResult<Self> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            match name.into_string() {
                Ok(name) if name == "." || name == ".." => {}
                Ok(name) => names.push(name),
                Err(_) => return Err(linux::Errno::ILSEQ),
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { fd, path, names })
    }
}

/// What is found under a name in a directory, as the protocol tells it.
pub(crate) fn describe(
    directory: BorrowedFd<'_>,
    name: &str,
    path: String,
    found: &Kernel,
) -> SysResult<Stat> {
    let kind = FileType::from_raw_mode(found.st_mode);
    let linkname = match kind {
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(directory, name, Vec::new())?;
            link.into_string().map_err(|_| linux::Errno::ILSEQ)?
        }
        _ => String::new(),
    };
    let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
    let number = |part: u32| if is_device { i64::from(part) } else { 0 };
    Ok(Stat {
        path,
        mode: go_mode(found.st_mode),
        uid: found.st_uid,
        gid: found.st_gid,
        size: if kind == FileType::RegularFile { found.st_size } else { 0 },
        mod_time: found
            .st_mtime
            .saturating_mul(1_000_000_000)
            .saturating_add(found.st_mtime_nsec.cast_signed()),
        linkname,
        devmajor: number(rustix::fs::major(found.st_rdev)),
        devminor: number(rustix::fs::minor(found.st_rdev)),
        xattrs: std::collections::BTreeMap::new(),
    })
}

/// The kernel's mode as Go's bits.
pub fn go_mode(raw: u32) -> u32 {
    let mut bits = raw & 0o777;
    for (kernel, go) in [(0o4000, mode::SETUID), (0o2000, mode::SETGID), (0o1000, mode::STICKY)] {
        if raw & kernel != 0 {
            bits |= go;
        }
    }
    bits | match FileType::from_raw_mode(raw) {
        FileType::Directory => mode::DIR,
        FileType::Symlink => mode::SYMLINK,
        FileType::Fifo => mode::NAMED_PIPE,
        FileType::Socket => mode::SOCKET,
        FileType::CharacterDevice => mode::DEVICE | mode::CHAR_DEVICE,
        FileType::BlockDevice => mode::DEVICE,
        _ => 0,
    }
}

fn open_dir(at: BorrowedFd<'_>, name: &str) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}
