//! Paths that read as empty, and paths that cannot be written.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use linux::mount::{Change, Configuration, Propagation, attach, attribute, clone_tree};
use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{FileType, makedev};

use crate::report::{At, StepResult};
use crate::step::Step;

/// Makes paths read-only with all that is mounted below them; what does not exist needs nothing.
pub(super) fn make_read_only<'a>(paths: &'a [CString], root: &RootDir) -> StepResult<'a> {
    for path in paths {
        read_only(path, root).about(Step::ReadOnly, path.to_bytes())?;
    }
    Ok(())
}

/// Covers files with the null device and directories with an empty one; what does not exist needs nothing.
pub(super) fn mask<'a>(paths: &'a [CString], root: &RootDir) -> StepResult<'a> {
    let mut covers = Covers { root, null: None, empty: None };
    for path in paths {
        covers.cover(path).about(Step::Mask, path.to_bytes())?;
    }
    Ok(())
}

fn read_only(path: &CString, root: &RootDir) -> SysResult<()> {
    let Some(target) = existing(path, root)? else { return Ok(()) };
    let tree = clone_tree(target.as_fd(), c"", true)?;
    let change = Change {
        set: attribute::READ_ONLY,
        propagation: Some(Propagation::Private),
        recursive: true,
        ..Change::default()
    };
    change.apply(tree.as_fd())?;
    attach(tree.as_fd(), target.as_fd())
}

fn existing(path: &CString, root: &RootDir) -> SysResult<Option<OwnedFd>> {
    match root.resolve(path.as_c_str()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What paths are covered with, each made when first needed and cloned for the next.
struct Covers<'r> {
    root: &'r RootDir,
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Covers<'_> {
    fn cover(&mut self, path: &CString) -> SysResult<()> {
        let Some(target) = existing(path, self.root)? else { return Ok(()) };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode);
        let cover = if kind == FileType::Directory { self.empty()? } else { self.null()? };
        attach(cover.as_fd(), target.as_fd())
    }

    /// The container's null device, checked to be that: a file in its place would be what the path reads as.
    fn null(&mut self) -> SysResult<OwnedFd> {
        if self.null.is_none() {
            let found = self.root.resolve_link(c"dev/null")?;
            let stat = rustix::fs::fstat(&found)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
                || stat.st_rdev != makedev(1, 3)
            {
                return Err(Errno::NODEV);
            }
            self.null = Some(found);
        }
        let null = self.null.as_ref().ok_or(Errno::NODEV)?;
        clone_tree(null.as_fd(), c"", false)
    }

    fn empty(&mut self) -> SysResult<OwnedFd> {
        if let Some(empty) = &self.empty {
            return clone_tree(empty.as_fd(), c"", false);
        }
        let configuration = Configuration::new(c"tmpfs")?;
        configuration.string(c"source", c"tmpfs")?;
        configuration.string(c"mode", c"755")?;
        configuration.string(c"nr_blocks", c"1")?;
        configuration.string(c"nr_inodes", c"1")?;
        let attributes =
            attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEVICES | attribute::NO_EXECUTE;
        let empty = configuration.mount(attributes)?;
        let first =
            empty.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
        self.empty = Some(empty);
        Ok(first)
    }
}
