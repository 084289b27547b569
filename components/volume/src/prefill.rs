//! Copies a directory of an image into an empty volume: owners, modes, times, extended attributes, links, devices.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use linux::root::RootDir;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Directories below each other; deeper ones are no image's.
const DEPTH: usize = 512;

pub(crate) fn prefill(root: &RootDir, path: &Path, target: OwnedFd) -> io::Result<()> {
    let source = match root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found?,
    };
    if !names(target.as_fd())?.is_empty() {
        return Ok(());
    }
    let mut copy = Copy { links: HashMap::new(), target: target.as_fd() };
    copy.directory(source.as_fd(), target.as_fd(), Path::new(""), 0)?;
    Ok(())
}

struct Copy<'target> {
    /// Where files with several names were copied to first.
    links: HashMap<(u64, u64), std::path::PathBuf>,
    target: BorrowedFd<'target>,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        source: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH {
            return Err(Errno::NAMETOOLONG.into());
        }
        for name in names(source)? {
            let path =
                path.join(std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes()) as &std::ffi::OsStr);
            self.entry(source, target, &name, &path, depth)?;
        }
        let stat = rustix::fs::fstat(source)?;
        copy_xattrs(source, target)?;
        set_owner_and_mode(target, &stat)?;
        rustix::fs::futimens(target, &times(&stat))?;
        Ok(())
    }

    fn entry(
        &mut self,
        source: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                rustix::fs::linkat(self.target, first, target, name, AtFlags::empty())?;
                return Ok(());
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        match kind {
            FileType::Directory => {
                rustix::fs::mkdirat(target, name, Mode::from_raw_mode(0o700))?;
                let from = rustix::fs::openat(source, name, DIRECTORY, Mode::empty())?;
                let to = rustix::fs::openat(target, name, DIRECTORY, Mode::empty())?;
                return self.directory(from.as_fd(), to.as_fd(), path, depth + 1);
            }
            FileType::RegularFile => return copy_file(source, target, name),
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(source, name, Vec::new())?;
                rustix::fs::symlinkat(&text, target, name)?;
            }
            // A socket without its server is nothing.
            FileType::Socket => return Ok(()),
            kind => rustix::fs::mknodat(target, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?,
        }
        set_link_attributes(target, name, &stat, kind)
    }
}

fn copy_file(source: BorrowedFd<'_>, target: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = rustix::fs::openat(source, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&from)?;
    if !linux::root::is_regular(&stat) {
        return Err(Errno::INVAL.into());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = rustix::fs::openat(target, name, flags, Mode::from_raw_mode(0o600))?;
    let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
    io::copy(&mut from, &mut to)?;
    // Ownership first: changing it clears set-id bits and capabilities.
    rustix::fs::fchown(&to, owner(&stat), group(&stat))?;
    copy_xattrs(from.as_fd(), to.as_fd())?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode))?;
    rustix::fs::futimens(&to, &times(&stat))?;
    Ok(())
}

fn set_owner_and_mode(file: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    rustix::fs::fchown(file, owner(stat), group(stat))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(stat.st_mode))?;
    Ok(())
}

fn set_link_attributes(
    directory: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
    kind: FileType,
) -> io::Result<()> {
    rustix::fs::chownat(directory, name, owner(stat), group(stat), AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        rustix::fs::chmodat(directory, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(directory, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn owner(stat: &Stat) -> Option<Uid> {
    Some(Uid::from_raw(stat.st_uid))
}

fn group(stat: &Stat) -> Option<Gid> {
    Some(Gid::from_raw(stat.st_gid))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Attributes of overlayfs itself and of file systems that do not take them are left out.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut list = vec![0u8; 1 << 16];
    let length = match rustix::fs::flistxattr(from, &mut list) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    let mut value = vec![0u8; 1 << 16];
    for name in list.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let length = rustix::fs::fgetxattr(from, name, &mut value)?;
        match rustix::fs::fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => {}
            result => result?,
        }
    }
    Ok(())
}

fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    Ok(names)
}
