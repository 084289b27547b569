//! Directories and files of the driver: attributes, sizes, small documents.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use linux::overlay::Lower;
use rustix::fs::{CWD, Mode, OFlags};
use serde::Serialize;

use crate::Usage;
use crate::error::{Result, file_error};
use crate::usage::measure;

/// The upper directory is what a container sees as the attributes of `/`.
pub(crate) fn copy_root_attributes(lower: Option<&Lower>, upper: &Path) -> Result<()> {
    use std::os::unix::fs::chown;
    let Some(lower) = lower else { return Ok(()) };
    let from = lower.open().and_then(rustix::fs::fstat).map_err(file_error("look at", lower.path()))?;
    chown(upper, Some(from.st_uid), Some(from.st_gid)).map_err(file_error("set the owner of", upper))?;
    set_mode(upper, from.st_mode & 0o7777)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions).map_err(file_error("set the mode of", path))
}

pub(crate) fn write_meta(path: &Path, meta: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(meta).map_err(file_error("encode", path))?;
    std::fs::write(path, bytes).map_err(file_error("write", path))
}

pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(file_error("open", path))
}

pub(crate) fn measure_path(path: &Path) -> Result<Usage> {
    measure(open_dir(path)?.as_fd()).map_err(file_error("measure", path))
}

/// Changes with every start of the machine.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
