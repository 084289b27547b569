//! Makes the mounts of the plan below the root, each on a target that is a descriptor.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::mount::{Change, Configuration, attach, attribute};
use linux::path_buffer::PathBuffer;
use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{FileType, Mode, OFlags};

use crate::plan::{CgroupView, Hierarchy, MountPlan, Source};
use crate::report::{At, Fault, StepResult};
use crate::step::Step;

/// Makes all mounts in order.
pub(super) fn mount_all<'a>(mounts: &'a [MountPlan], root: &RootDir) -> StepResult<'a> {
    for (index, mount) in mounts.iter().enumerate() {
        mount_one(mount, root).map_err(|fault| Fault { index, ..fault })?;
    }
    Ok(())
}

const DIRECTORY: Mode = Mode::from_raw_mode(0o755);

fn mount_one<'a>(mount: &'a MountPlan, root: &RootDir) -> StepResult<'a> {
    let destination = mount.destination.as_c_str();
    let make_directory = || root.make_dirs(destination, DIRECTORY).at(Step::MountPoint);
    match &mount.source {
        Source::Tree { tree, directory } => {
            let target = if *directory {
                make_directory()?
            } else {
                root.make_file(destination, DIRECTORY).at(Step::MountPoint)?
            };
            if !*directory {
                refuse_directory(target.as_fd()).at(Step::Attach)?;
            }
            attach(tree.as_fd(), target.as_fd()).at(Step::Attach)?;
            spread(mount, tree.as_fd())
        }
        Source::FileSystem { kind, data, copy_up, plain_place, inherit_mode, fallback } => {
            let mut target = make_directory()?;
            if *plain_place {
                target = root.resolve_plain(destination).at(Step::MountPoint)?;
            }
            let mode = if *inherit_mode { Some(target.as_fd()) } else { None };
            let held_back = if *copy_up { mount.attributes & attribute::READ_ONLY } else { 0 };
            let made = match file_system(kind, data, mode, mount.attributes & !held_back) {
                Ok(made) => made,
                Err(fault) => match fallback {
                    Some(tree) if matches!(fault.errno, Errno::PERM | Errno::BUSY) => {
                        return attach(tree.as_fd(), target.as_fd()).at(Step::Attach);
                    }
                    _ => return Err(fault),
                },
            };
            if *copy_up {
                super::copy::copy_tree(target.as_fd(), made.as_fd()).at(Step::Mount)?;
                let change = Change { set: held_back, ..Change::default() };
                if !change.is_empty() {
                    change.apply(made.as_fd()).at(Step::ReadOnly)?;
                }
            }
            attach(made.as_fd(), target.as_fd()).at(Step::Attach)?;
            spread(mount, made.as_fd())
        }
        Source::Cgroup(view) => mount_cgroup(view, mount.attributes, make_directory()?.as_fd()),
        Source::Remount { set, clear } => {
            let target = root.resolve(destination).at(Step::MountPoint)?;
            Change { set: *set, clear: *clear, ..Change::default() }.apply(target.as_fd()).at(Step::Mount)
        }
    }
}

/// A file cannot be mounted on a directory; the kernel would only call that invalid.
fn refuse_directory(target: BorrowedFd<'_>) -> SysResult<()> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(target)?.st_mode);
    if kind == FileType::Directory { Err(Errno::NOTDIR) } else { Ok(()) }
}

fn spread<'a>(mount: &MountPlan, made: BorrowedFd<'_>) -> StepResult<'a> {
    let Some((kind, recursive)) = mount.propagation else { return Ok(()) };
    Change { propagation: Some(kind), recursive, ..Change::default() }.apply(made).at(Step::Propagation)
}

fn file_system<'a>(
    kind: &CStr,
    data: &'a [(CString, Option<CString>)],
    covered: Option<BorrowedFd<'_>>,
    attributes: u64,
) -> StepResult<'a, OwnedFd> {
    let configuration = Configuration::new(kind).at(Step::Mount)?;
    if let Some(covered) = covered {
        inherit_mode(&configuration, covered).at(Step::Configure)?;
    }
    for (key, value) in data {
        let result = match value {
            Some(value) => configuration.string(key, value),
            None => configuration.flag(key),
        };
        result.about(Step::Configure, key.to_bytes())?;
    }
    configuration.mount(attributes).at(Step::Mount)
}

/// The permission bits of the directory that is covered, as an option.
fn inherit_mode(configuration: &Configuration, covered: BorrowedFd<'_>) -> SysResult<()> {
    let mode = rustix::fs::fstat(covered)?.st_mode & 0o7777;
    let mut text = PathBuffer::new();
    for shift in [9, 6, 3, 0] {
        let digit = u8::try_from((mode >> shift) & 7).unwrap_or_default();
        text.append(&[b'0' + digit])?;
    }
    configuration.string(c"mode", text.as_c_str())
}

fn mount_cgroup<'a>(view: &'a CgroupView, attributes: u64, target: BorrowedFd<'_>) -> StepResult<'a> {
    let (entries, links) = match view {
        CgroupView::Unified(hierarchy) => return mount_hierarchy(hierarchy, attributes, target),
        CgroupView::Directory { entries, links } => (entries, links),
    };
    // The directory becomes read-only only when everything is in it.
    let writable = attributes & !attribute::READ_ONLY;
    let configuration = Configuration::new(c"tmpfs").at(Step::Mount)?;
    configuration.string(c"source", c"tmpfs").at(Step::Configure)?;
    configuration.string(c"mode", c"755").at(Step::Configure)?;
    let directory = configuration.mount(writable).at(Step::Mount)?;
    attach(directory.as_fd(), target).at(Step::Attach)?;
    for (name, hierarchy) in entries {
        rustix::fs::mkdirat(&directory, name.as_c_str(), DIRECTORY)
            .about(Step::MountPoint, name.to_bytes())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place =
            rustix::fs::openat(&directory, name.as_c_str(), flags, Mode::empty()).at(Step::MountPoint)?;
        mount_hierarchy(hierarchy, attributes, place.as_fd())
            .map_err(|fault| Fault { subject: name.to_bytes(), ..fault })?;
    }
    for (name, text) in links {
        rustix::fs::symlinkat(text.as_c_str(), &directory, name.as_c_str())
            .about(Step::MountPoint, name.to_bytes())?;
    }
    let last = Change { set: attributes & attribute::READ_ONLY, ..Change::default() };
    if last.is_empty() { Ok(()) } else { last.apply(directory.as_fd()).at(Step::ReadOnly) }
}

fn mount_hierarchy<'a>(hierarchy: &'a Hierarchy, attributes: u64, target: BorrowedFd<'_>) -> StepResult<'a> {
    match hierarchy {
        Hierarchy::Own(kind, data) => {
            let made = file_system(kind, data, None, attributes)?;
            attach(made.as_fd(), target).at(Step::Attach)
        }
        Hierarchy::Tree(tree) => {
            Change { set: attributes, ..Change::default() }.apply(tree.as_fd()).at(Step::Mount)?;
            attach(tree.as_fd(), target).at(Step::Attach)
        }
    }
}
