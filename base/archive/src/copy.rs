//! What `cp` does on the side of a tree: look at a path, write it as an archive, unpack an archive there.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use linux::root::RootDir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::IdMap;
use crate::error::{ArchiveError, Result};
use crate::extract::{ExtractOptions, Summary, extract};
use crate::tree::{TreeOptions, write_path, write_tree};

/// What is at a path; a final link itself, unless the path ends in `/` or `/.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Its base name (`/` for the root).
    pub name: std::ffi::OsString,
    /// Bytes.
    pub size: u64,
    /// Type and permissions as `stat(2)` has them.
    pub mode: u32,
    /// Modification time, seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
    /// For a link: where it leads within the root, with a leading slash; empty otherwise.
    pub link_target: PathBuf,
}

/// Looks at a path. The error of the operating system is kept: NotFound and NotADirectory mean different answers.
pub fn stat(root: &RootDir, path: &Path) -> std::io::Result<PathStat> {
    let follow = follows(path);
    let file = if follow { root.resolve(path)? } else { root.resolve_link(path)? };
    let stat = rustix::fs::fstat(&file)?;
    let is_link = FileType::from_raw_mode(stat.st_mode).is_symlink();
    let link_target = if is_link { link_target(root, path)? } else { PathBuf::new() };
    Ok(PathStat {
        name: base_name(path).to_owned(),
        size: stat.st_size.cast_unsigned(),
        mode: stat.st_mode,
        seconds: stat.st_mtime,
        nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        link_target,
    })
}

/// Writes what is at a path as an archive whose first entry has the base name. With a map the root is one of that user
/// namespace, seen from outside.
pub fn get(root: &RootDir, path: &Path, id_map: Option<IdMap>, out: &mut dyn Write) -> Result<()> {
    let failed =
        |error: Errno| ArchiveError::Tree { operation: "open", path: path.to_owned(), source: error.into() };
    let name = base_name(path);
    if follows(path) || name == "/" {
        let name = if path.as_os_str().as_bytes().ends_with(b"/.") { OsStr::new(".") } else { name };
        let name = if name == "/" { OsStr::new(".") } else { name };
        let directory = root.subroot(path).map_err(failed)?;
        let options = TreeOptions { id_map, ..TreeOptions::named(name) };
        return write_tree(directory.as_fd(), &options, out);
    }
    let (parent, name) = root.parent(path).map_err(failed)?;
    write_path(parent.as_fd(), name, &TreeOptions { id_map, ..TreeOptions::default() }, out)
}

/// Unpacks an archive (compressed or not) into an existing directory of the root.
pub fn put(
    root: &RootDir,
    directory: &Path,
    archive: impl Read,
    options: &ExtractOptions,
) -> Result<Summary> {
    let stream = crate::Decoder::new(archive)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    root.open_file(directory, flags, Mode::empty()).map_err(|error| ArchiveError::Entry {
        operation: "open the directory",
        path: directory.to_owned(),
        source: error.into(),
    })?;
    extract(stream, root, directory, options)
}

/// A path that ends in a slash or `/.` means what a link leads to.
fn follows(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b"." || path.file_name().is_none()
}

fn base_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(OsStr::new("/"))
}

/// Where a link leads, as a path within the root: what the link says, resolved against the link's directory.
fn link_target(root: &RootDir, path: &Path) -> std::io::Result<PathBuf> {
    let (parent, name) = root.parent(path)?;
    let text = rustix::fs::readlinkat(parent, name, Vec::new())?;
    let text = Path::new(OsStr::from_bytes(text.to_bytes()));
    let joined = Path::new("/").join(path.parent().unwrap_or(Path::new("/"))).join(text);
    let mut clean = PathBuf::from("/");
    for component in joined.components() {
        match component {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    Ok(clean)
}

/// Whether a directory entry exists without following it.
pub fn exists(root: &RootDir, path: &Path) -> bool {
    match root.parent(path) {
        Ok((parent, name)) => rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok(),
        Err(_) => path.file_name().is_none(),
    }
}
