//! Standard streams belong to the user the process runs as, so that it can open /dev/stdout again.

use std::os::fd::{AsFd, BorrowedFd};

use oci::runtime::Spec;
use rustix::fs::{FileType, Uid, fchown, fstat, makedev};

use crate::plan::host_id;
use crate::request::Stdio;

/// Makes a container's streams its user's, as far as the host allows that.
pub(crate) fn own(stdio: &Stdio, spec: &Spec, uid: u32) {
    let mappings = spec.linux.as_ref().map(|linux| linux.uid_mappings.as_slice()).unwrap_or_default();
    let owner = if mappings.is_empty() { Some(uid) } else { host_id(mappings, uid) };
    if let Some(owner) = owner {
        own_as(stdio, owner);
    }
}

/// Makes streams a user's of the host.
pub(crate) fn own_as(stdio: &Stdio, owner: u32) {
    match stdio {
        Stdio::Descriptors { stdin, stdout, stderr } => {
            for stream in [stdin, stdout, stderr] {
                own_one(stream.as_fd(), owner);
            }
        }
        Stdio::Inherit => {
            own_one(rustix::stdio::stdin(), owner);
            own_one(rustix::stdio::stdout(), owner);
            own_one(rustix::stdio::stderr(), owner);
        }
        Stdio::Terminal { .. } => {}
    }
}

/// The null device stays root's. A stream that cannot change hands (a read-only file system, a socket) is left.
fn own_one(stream: BorrowedFd<'_>, owner: u32) {
    let Ok(stat) = fstat(stream) else { return };
    let null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3);
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !null && !regular && stat.st_uid != owner {
        let _ = fchown(stream, Some(Uid::from_raw(owner)), None);
    }
}
