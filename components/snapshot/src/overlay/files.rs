//! Directories and files of the driver: attributes, sizes, small documents.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use serde::Serialize;

use crate::Usage;
use crate::error::{Result, file_error};
use crate::usage::measure;

/// The upper directory is what a container sees as the attributes of `/`.
pub(super) fn copy_root_attributes(lower: Option<&PathBuf>, upper: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let Some(lower) = lower else { return Ok(()) };
    let from = std::fs::metadata(lower).map_err(file_error("look at", lower))?;
    chown(upper, Some(from.uid()), Some(from.gid())).map_err(file_error("set the owner of", upper))?;
    set_mode(upper, from.mode() & 0o7777)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions).map_err(file_error("set the mode of", path))
}

pub(super) fn write_meta(path: &Path, meta: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(meta).map_err(file_error("encode", path))?;
    std::fs::write(path, bytes).map_err(file_error("write", path))
}

pub(super) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(file_error("open", path))
}

pub(super) fn measure_path(path: &Path) -> Result<Usage> {
    measure(open_dir(path)?.as_fd()).map_err(file_error("measure", path))
}

/// Changes with every start of the machine.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
