//! What the kernel can do, tried out, and what it is known to complain about.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use archive::{Entry, Limits, Writer};
use erofs::FileSource;
use linux::overlay::{Lower, Overlay};
use linux::root::RootDir;

use crate::error::{Result, file_error};

/// Magic number of ext2, ext3 and ext4.
const EXT4: i64 = 0xef53;

/// Whether layers need no unpacking here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// They do not.
    Yes,
    /// They have to be unpacked, and why.
    No(String),
}

/// Tries it: an image of one file, mounted in a directory of the file system in question, below an overlay, and read.
/// The files stay (`probe/`), so that a full disk does not change the answer of the next start.
pub fn probe(directory: &Path) -> Result<Support> {
    let place = directory.join("probe");
    std::fs::create_dir_all(&place).map_err(file_error("make", &place))?;
    Ok(match attempt(&place) {
        Ok(()) => Support::Yes,
        Err(error) => Support::No(format!("the kernel cannot use layers in place: {error}")),
    })
}

fn attempt(place: &Path) -> io::Result<()> {
    let mut writer = Writer::new(Vec::new());
    writer.append_bytes(&Entry::file("file", 0o600, 0), b"content")?;
    let (tar, index) = (place.join("tar"), place.join("index"));
    keep(&tar, &writer.finish()?)?;
    let tree = erofs::index(&mut FileSource::new(File::open(&tar)?)?, Limits::DEFAULT)?;
    keep(&index, &erofs::write(&tree).map_err(io::Error::other)?)?;
    let empty = place.join("empty");
    std::fs::create_dir_all(&empty)?;
    let (file, device) = (File::open(&index)?, File::open(&tar)?);
    let _pinned = linux::erofs::Pinned::new(&file)?;
    let mount = Arc::new(linux::erofs::mount(file.as_fd(), &[device.as_fd()])?);
    let lowers = vec![Lower::Directory(empty), Lower::Mount(mount, index)];
    let root = RootDir::from_fd(Overlay { lowers, ..Overlay::default() }.mount()?);
    let content = io::read_to_string(File::from(root.open_regular("file")?))?;
    if content == "content" { Ok(()) } else { Err(io::Error::other("it read something else")) }
}

/// Writes a file unless it is there as it should be.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::read(path) {
        Ok(found) if found == bytes => Ok(()),
        _ => std::fs::write(path, bytes),
    }
}

/// Whether the kernel complains when it reads an index that is not in memory: a debugging check of ext4 since Linux 6.16
/// wants one of two locks held that EROFS does not take for its own data. Nothing is wrong with what is read.
pub(super) fn wants_pinning(root: &Path) -> bool {
    let on_ext4 = File::open(root.parent().unwrap_or(root))
        .and_then(|directory| linux::mount::file_system_kind(directory).map_err(io::Error::from));
    on_ext4.is_ok_and(|kind| kind == EXT4)
}
