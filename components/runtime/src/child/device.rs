//! Device nodes and links in the container's /dev.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::mount::attach;
use linux::path_buffer::PathBuffer;
use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use crate::plan::{DevicePlan, LINKS};
use crate::report::{At, StepResult};
use crate::step::Step;

/// Makes all nodes, then the links.
pub(super) fn make_all<'a>(devices: &'a [DevicePlan], root: &RootDir) -> StepResult<'a> {
    let directory = root.make_dirs(c"dev", Mode::from_raw_mode(0o755)).at(Step::Device)?;
    for device in devices {
        make_in(device, directory.as_fd(), root).about(Step::Device, device.path.to_bytes())?;
    }
    for (name, text) in LINKS {
        if name == c"core" && rustix::fs::access(text, rustix::fs::Access::EXISTS).is_err() {
            // This kernel has no such file; the child still sees the host's /proc here.
            continue;
        }
        make_link(directory.as_fd(), name, text).about(Step::DeviceLink, name.to_bytes())?;
    }
    Ok(())
}

/// Most nodes are directly in /dev, which is open already.
fn make_in(device: &DevicePlan, directory: BorrowedFd<'_>, root: &RootDir) -> SysResult<()> {
    let path = device.path.to_bytes();
    let inside = path.strip_prefix(b"/dev/").filter(|name| !name.contains(&b'/'));
    if let Some(name) = inside {
        let name = PathBuffer::from_bytes(name)?;
        return make(device, directory, name.as_c_str());
    }
    let mut parent = PathBuffer::from_bytes(path)?;
    parent.pop();
    let name = PathBuffer::from_bytes(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())?;
    let parent = root.make_dirs(parent.as_c_str(), Mode::from_raw_mode(0o755))?;
    make(device, parent.as_fd(), name.as_c_str())
}

fn make(device: &DevicePlan, directory: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
    if let Some(tree) = &device.tree {
        let target = place_holder(directory, name)?;
        return attach(tree.as_fd(), target.as_fd());
    }
    let mode = Mode::from_raw_mode(device.mode);
    match rustix::fs::mknodat(directory, name, device.kind, mode, device.number) {
        Err(Errno::EXIST) => {
            if is_same(device, directory, name)? {
                return Ok(());
            }
            // Whatever an image has put in its place, a link for instance, is not the device.
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            rustix::fs::mknodat(directory, name, device.kind, mode, device.number)?;
        }
        result => result?,
    }
    if (device.uid, device.gid) == (0, 0) {
        return Ok(());
    }
    let owner = (Some(Uid::from_raw(device.uid)), Some(Gid::from_raw(device.gid)));
    rustix::fs::chownat(directory, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_same(device: &DevicePlan, directory: BorrowedFd<'_>, name: &CStr) -> SysResult<bool> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let same_kind = FileType::from_raw_mode(stat.st_mode) == device.kind;
    Ok(same_kind && (stat.st_rdev == device.number || device.kind == FileType::Fifo))
}

/// An empty file to mount something on; a link in its place is removed, never followed.
pub(super) fn place_holder(directory: BorrowedFd<'_>, name: &CStr) -> SysResult<OwnedFd> {
    let create =
        || rustix::fs::mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o666), 0);
    let open = || {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty())
    };
    match create() {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let found = open()?;
    if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::Symlink {
        return Ok(found);
    }
    rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    create()?;
    let made = open()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
    if kind == FileType::Symlink { Err(Errno::LOOP) } else { Ok(made) }
}

fn make_link(directory: BorrowedFd<'_>, name: &CStr, text: &CStr) -> SysResult<()> {
    match rustix::fs::symlinkat(text, directory, name) {
        Err(Errno::EXIST) => {
            match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                // A directory or mount of that name is left to whoever asked for it.
                Err(Errno::ISDIR | Errno::BUSY | Errno::PERM) => Ok(()),
                Err(error) => Err(error),
                Ok(()) => rustix::fs::symlinkat(text, directory, name),
            }
        }
        result => result,
    }
}
