//! The initial layer: mount points every container has, made once for each image and only where the image lacks
//! them, so that they never count as a container's own changes.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use linux::overlay::{Lower, Overlay};
use linux::root::RootDir;
use oci::Digest;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::error::{Result, file_error};
use crate::stacked::files::copy_root_attributes;
use crate::stacked::layout::Layout;

/// What Docker puts into its own initial layer.
const DIRECTORIES: [&str; 4] = ["dev/pts", "dev/shm", "proc", "sys"];
const FILES: [&str; 5] = [".dockerenv", "etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/console"];
const LINKS: [(&str, &str); 1] = [("etc/mtab", "/proc/mounts")];

/// Makes the initial layer above a chain, unless it is there.
pub(super) fn make(layout: &Layout, chain: Option<&Digest>, lowers: &[Lower]) -> Result<()> {
    let target = layout.init(chain);
    if target.exists() {
        return Ok(());
    }
    let fresh = layout.fresh()?;
    let failed = |source| file_error::<io::Error>("make", &target)(source);
    let result = fill(&fresh, lowers).and_then(|()| std::fs::rename(fresh.join("upper"), &target));
    let _ = std::fs::remove_dir_all(&fresh);
    match result {
        // Two containers of a new image at the same time: both made the same.
        Err(_) if target.exists() => Ok(()),
        result => result.map_err(failed),
    }
}

/// After a start of the machine initial layers and images of chains are made again: nothing uses them, and a power cut may
/// have emptied them.
pub(super) fn forget_after_boot(layout: &Layout, boot: &str) -> Result<()> {
    let path = layout.boot();
    if std::fs::read_to_string(&path).is_ok_and(|last| last == boot) {
        return Ok(());
    }
    let inits = layout.inits();
    for entry in std::fs::read_dir(&inits).map_err(file_error("list", &inits))? {
        let init = entry.map_err(file_error("list", &inits))?.path();
        std::fs::remove_dir_all(&init).map_err(file_error("remove", &init))?;
    }
    let merged = layout.all_merged();
    for entry in std::fs::read_dir(&merged).map_err(file_error("list", &merged))? {
        let image = entry.map_err(file_error("list", &merged))?.path();
        std::fs::remove_file(&image).map_err(file_error("remove", &image))?;
    }
    std::fs::write(&path, boot).map_err(file_error("write", &path))
}

/// Works in a detached overlay: links of the image are resolved inside of it, directories keep its owners and modes.
fn fill(fresh: &Path, lowers: &[Lower]) -> io::Result<()> {
    let (upper, work) = (fresh.join("upper"), fresh.join("work"));
    std::fs::create_dir(&upper)?;
    std::fs::create_dir(&work)?;
    if let Some(lower) = lowers.first() {
        copy_root_attributes(Some(lower), &upper).map_err(io::Error::other)?;
    }
    // Volatile: unmounting another one flushes the whole file system. After a power cut this is made again.
    let overlay =
        Overlay { lowers: lowers.to_vec(), upper: Some((upper, work)), volatile: true, attributes: 0 };
    let root = RootDir::from_fd(overlay.mount()?);
    for path in DIRECTORIES {
        if let Some((parent, name)) = place(&root, path)? {
            made(rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)))?;
        }
    }
    for path in FILES {
        if let Some((parent, name)) = place(&root, path)? {
            made(rustix::fs::mknodat(parent, name, FileType::RegularFile, Mode::from_raw_mode(0o755), 0))?;
        }
    }
    for (path, text) in LINKS {
        if let Some((parent, name)) = place(&root, path)? {
            made(rustix::fs::symlinkat(text, parent, name))?;
        }
    }
    Ok(())
}

/// The directory for a name, made if missing; none when the image has something there, or no place for it.
fn place<'path>(root: &RootDir, path: &'path str) -> io::Result<Option<(OwnedFd, &'path OsStr)>> {
    let path = Path::new(path);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let parent = match root.make_dirs(Path::new("/").join(directory), Mode::from_raw_mode(0o755)) {
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        parent => parent?,
    };
    match rustix::fs::statat(parent.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(Some((parent, name))),
        found => found.map(|_| None).map_err(io::Error::from),
    }
}

fn made(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}
