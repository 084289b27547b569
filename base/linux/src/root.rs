//! Paths below a directory, resolved by the kernel as if that directory were the root.
//!
//! No symbolic link, `..` or rename done by somebody else at the same time leads out of the root, and links of the
//! proc file system are not followed at all (`openat2(2)`, RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dev, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::path::Arg;

use crate::path_buffer::PathBuffer;
use crate::{Errno, SysResult};

/// How often a lookup is repeated when a concurrent rename made it inconclusive (EAGAIN).
const ATTEMPTS: u32 = 1 << 14;

/// Symbolic links followed before giving up, as in the kernel.
const LINKS: u32 = 40;

/// A directory that is the root of all paths given to its methods; leading slashes of those do not matter.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
}

impl RootDir {
    /// The directory at a path of the caller's own view.
    pub fn open(path: &Path) -> SysResult<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// A directory that is open already, for instance the descriptor of a detached mount.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Gives the descriptor back.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Opens a file, following links inside the root. CLOEXEC is added.
    pub fn open_file<P: Arg>(&self, path: P, flags: OFlags, mode: Mode) -> SysResult<OwnedFd> {
        path.into_with_c_str(|path| open_in_root(self.fd.as_fd(), path, flags, mode))
    }

    /// A descriptor (O_PATH) of whatever is at the path, following links.
    pub fn resolve<P: Arg>(&self, path: P) -> SysResult<OwnedFd> {
        self.open_file(path, OFlags::PATH, Mode::empty())
    }

    /// A descriptor (O_PATH) of whatever is at the path; a final link is not followed.
    pub fn resolve_link<P: Arg>(&self, path: P) -> SysResult<OwnedFd> {
        self.open_file(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
    }

    /// A descriptor (O_PATH) of a directory whose path has no link in it; ELOOP when it has.
    pub fn resolve_plain<P: Arg>(&self, path: P) -> SysResult<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        path.into_with_c_str(|path| {
            let mut attempt = 0;
            loop {
                match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                    Err(Errno::AGAIN | Errno::INTR) if attempt < ATTEMPTS => attempt += 1,
                    result => return result,
                }
            }
        })
    }

    /// A directory below as the root of further paths: links in it then cannot lead above it.
    pub fn subroot<P: Arg>(&self, path: P) -> SysResult<Self> {
        self.open_file(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).map(Self::from_fd)
    }

    /// Opens a regular file for reading and refuses everything else without blocking on it or acting on it.
    pub fn open_regular<P: Arg>(&self, path: P) -> SysResult<OwnedFd> {
        self.open_regular_with_stat(path).map(|(file, _)| file)
    }

    /// [`Self::open_regular`] with what the file is like once it is open.
    pub fn open_regular_with_stat<P: Arg>(&self, path: P) -> SysResult<(OwnedFd, Stat)> {
        path.into_with_c_str(|path| {
            // A FIFO or device must not even be opened: what opening does is the device's business.
            let found = open_in_root(self.fd.as_fd(), path, OFlags::PATH, Mode::empty())?;
            if !is_regular(&rustix::fs::fstat(&found)?) {
                return Err(Errno::INVAL);
            }
            self.open_seen_regular(path)
        })
    }

    /// [`Self::open_regular_with_stat`] of what was a regular file a moment ago, without looking again first. For trees
    /// that nobody changes but whoever could open a device as well.
    pub fn open_seen_regular<P: Arg>(&self, path: P) -> SysResult<(OwnedFd, Stat)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_file(path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if is_regular(&stat) { Ok((file, stat)) } else { Err(Errno::INVAL) }
    }

    /// Attributes of the file, following links.
    pub fn stat<P: Arg>(&self, path: P) -> SysResult<Stat> {
        rustix::fs::fstat(self.resolve(path)?)
    }

    /// Attributes of the file or of a final link itself.
    pub fn stat_link<P: Arg>(&self, path: P) -> SysResult<Stat> {
        rustix::fs::fstat(self.resolve_link(path)?)
    }

    /// What a symbolic link points to.
    pub fn read_link<P: Arg>(&self, path: P) -> SysResult<CString> {
        rustix::fs::readlinkat(self.resolve_link(path)?, c"", Vec::new())
    }

    /// The directory a path's last component is in, and that component. The root itself and paths that end in `..`
    /// have none (EINVAL).
    pub fn parent<'p>(&self, path: &'p Path) -> SysResult<(OwnedFd, &'p std::ffi::OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = if parent.as_os_str().is_empty() { Path::new("/") } else { parent };
        Ok((self.open_file(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name))
    }

    /// Makes one directory.
    pub fn make_dir(&self, path: &Path, mode: Mode) -> SysResult<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(parent, name, mode)
    }

    /// Makes a FIFO, device, socket or empty regular file.
    pub fn make_node(&self, path: &Path, kind: FileType, mode: Mode, device: Dev) -> SysResult<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mknodat(parent, name, kind, mode, device)
    }

    /// Makes a symbolic link; its text is not looked at.
    pub fn make_link(&self, text: &Path, path: &Path) -> SysResult<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(text, parent, name)
    }

    /// Renames within the root.
    pub fn rename(&self, from: &Path, to: &Path) -> SysResult<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        rustix::fs::renameat(from_dir, from_name, to_dir, to_name)
    }

    /// Removes a file or link.
    pub fn unlink(&self, path: &Path) -> SysResult<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: &Path) -> SysResult<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
    }

    /// The directory at a path with all missing ones on the way made. Links are followed inside the root, also those
    /// that point to something missing, which is then made.
    pub fn make_dirs<P: Arg>(&self, path: P, mode: Mode) -> SysResult<OwnedFd> {
        path.into_with_c_str(|path| match self.resolve_dir(path) {
            Err(Errno::NOENT) => Walk::new(self.fd.as_fd(), path, mode)?.run(true),
            found => found,
        })
    }

    /// The file at a path (O_PATH), or an empty regular file made there with all directories on the way.
    pub fn make_file<P: Arg>(&self, path: P, mode: Mode) -> SysResult<OwnedFd> {
        path.into_with_c_str(|path| match open_in_root(self.fd.as_fd(), path, OFlags::PATH, Mode::empty()) {
            Err(Errno::NOENT) => Walk::new(self.fd.as_fd(), path, mode)?.run(false),
            found => found,
        })
    }

    fn resolve_dir(&self, path: &CStr) -> SysResult<OwnedFd> {
        open_in_root(self.fd.as_fd(), path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether attributes are those of a regular file.
pub fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// `openat2` with the root's rules; repeated while concurrent renames make the kernel unsure.
fn open_in_root(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> SysResult<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = if path.is_empty() { c"/" } else { path };
    let mut attempt = 0;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) if attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// A walk that makes what is missing: `done` holds no link and no `..`, `todo` is what remains.
struct Walk<'root> {
    root: BorrowedFd<'root>,
    done: PathBuffer,
    todo: PathBuffer,
    mode: Mode,
    links: u32,
}

impl<'root> Walk<'root> {
    fn new(root: BorrowedFd<'root>, path: &CStr, mode: Mode) -> SysResult<Self> {
        let todo = PathBuffer::from_bytes(path.to_bytes())?;
        Ok(Self { root, done: PathBuffer::new(), todo, mode, links: 0 })
    }

    fn run(mut self, directory: bool) -> SysResult<OwnedFd> {
        while let Some((start, end)) = self.next_component() {
            let mut name = PathBuffer::from_bytes(&self.todo.as_bytes()[start..end])?;
            let last = self.todo.as_bytes()[end..].iter().all(|byte| *byte == b'/');
            match name.as_bytes() {
                b"." => {}
                b".." => self.done.pop(),
                _ => {
                    let rest = PathBuffer::from_bytes(&self.todo.as_bytes()[end..])?;
                    if self.step(&mut name, &rest, directory || !last)? {
                        continue;
                    }
                }
            }
            let rest = PathBuffer::from_bytes(&self.todo.as_bytes()[end..])?;
            self.todo = rest;
        }
        let flags = if directory { OFlags::PATH | OFlags::DIRECTORY } else { OFlags::PATH };
        open_in_root(self.root, self.done.as_c_str(), flags | OFlags::NOFOLLOW, Mode::empty())
    }

    fn next_component(&self) -> Option<(usize, usize)> {
        let todo = self.todo.as_bytes();
        let start = todo.iter().position(|byte| *byte != b'/')?;
        let length = todo.get(start..)?.iter().position(|byte| *byte == b'/').unwrap_or(todo.len() - start);
        Some((start, start + length))
    }

    /// Goes into one component, made if missing. True when it was a link, whose text is in `todo` now.
    fn step(&mut self, name: &mut PathBuffer, rest: &PathBuffer, directory: bool) -> SysResult<bool> {
        let length = self.done.as_bytes().len();
        self.done.push(name.as_bytes())?;
        let found =
            open_in_root(self.root, self.done.as_c_str(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty());
        let found = match found {
            Err(Errno::NOENT) => return self.make(length, name, directory).map(|()| false),
            found => found?,
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::Symlink {
            return Ok(false);
        }
        self.links += 1;
        if self.links > LINKS {
            return Err(Errno::LOOP);
        }
        let mut text = [std::mem::MaybeUninit::<u8>::uninit(); 4096];
        let (text, _) = rustix::fs::readlinkat_raw(&found, c"", &mut text)?;
        self.done.truncate(if text.starts_with(b"/") { 0 } else { length });
        self.todo = PathBuffer::from_bytes(text)?;
        self.todo.push(rest.as_bytes())?;
        Ok(true)
    }

    fn make(&mut self, parent_length: usize, name: &PathBuffer, directory: bool) -> SysResult<()> {
        let parent_path = PathBuffer::from_bytes(&self.done.as_bytes()[..parent_length])?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let parent = open_in_root(self.root, parent_path.as_c_str(), flags, Mode::empty())?;
        let made = if directory {
            rustix::fs::mkdirat(parent, name.as_c_str(), self.mode)
        } else {
            let mode = Mode::from_raw_mode(self.mode.as_raw_mode() & 0o666);
            rustix::fs::mknodat(parent, name.as_c_str(), FileType::RegularFile, mode, 0)
        };
        match made {
            Err(Errno::EXIST) => Ok(()),
            made => made,
        }
    }
}

#[cfg(test)]
mod tests;
