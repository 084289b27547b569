//! Running from a copy that nobody can write to.
//!
//! A container's process can reach the program that set it up through /proc/self/exe for a moment. It must not be a
//! file of the host that could be overwritten, so the program first executes itself again from a read-only mount of
//! its file that exists nowhere, or from a sealed copy in memory.

use std::os::fd::{AsFd, OwnedFd};

use linux::arguments::Arguments;
use linux::mount::{Change, Propagation, attribute, clone_tree};
use rustix::fs::{CWD, SealFlags, StatVfsMountFlags};

use crate::failure::{Failure, Result};

/// Returns only when this process already runs from such a copy.
pub(crate) fn from_protected_copy(arguments: &[String]) -> Result<()> {
    let program = linux::process::own_program()?;
    if is_protected(&program) {
        return Ok(());
    }
    let copy = read_only_mount().or_else(|_| linux::memfd::sealed_copy("wharf-runtime", &program))?;
    let own_name = std::env::args().next().unwrap_or_default();
    let all = std::iter::once(own_name).chain(arguments.iter().cloned());
    let list = |error: linux::arguments::ZeroByte| Failure::new(error.to_string());
    let arguments = Arguments::new(all).map_err(list)?;
    let environment = std::env::vars_os().map(|(name, value)| {
        use std::os::unix::ffi::OsStrExt as _;
        [name.as_bytes(), b"=", value.as_bytes()].concat()
    });
    let environment = Arguments::new(environment).map_err(list)?;
    Err(linux::execute::descriptor(copy.as_fd(), &arguments, &environment).into())
}

/// A read-only mount (the host's own may be one, too) or a sealed memory file.
fn is_protected(program: &OwnedFd) -> bool {
    let read_only =
        rustix::fs::fstatvfs(program).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    read_only || rustix::fs::fcntl_get_seals(program).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

fn read_only_mount() -> std::io::Result<OwnedFd> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let tree = clone_tree(CWD, &path, false)?;
    let change =
        Change { set: attribute::READ_ONLY, propagation: Some(Propagation::Private), ..Change::default() };
    change.apply(tree.as_fd())?;
    // The path may lead elsewhere by now.
    let own = rustix::fs::fstat(linux::process::own_program()?)?;
    let found = rustix::fs::fstat(&tree)?;
    if (own.st_dev, own.st_ino) != (found.st_dev, found.st_ino) {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    Ok(tree)
}
