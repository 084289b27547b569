//! Namespaces: kinds, opening, joining and leaving.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};

use crate::{Errno, SysResult, check};

/// A set of namespace kinds, as the kernel's CLONE_NEW flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Mount tables.
    pub const MOUNT: Self = Self(0x0002_0000);
    /// Cgroup trees.
    pub const CGROUP: Self = Self(0x0200_0000);
    /// Host and domain name.
    pub const UTS: Self = Self(0x0400_0000);
    /// System V objects and POSIX queues.
    pub const IPC: Self = Self(0x0800_0000);
    /// User and group ids.
    pub const USER: Self = Self(0x1000_0000);
    /// Process ids.
    pub const PID: Self = Self(0x2000_0000);
    /// Network stacks.
    pub const NETWORK: Self = Self(0x4000_0000);
    /// Clocks.
    pub const TIME: Self = Self(0x0000_0080);

    /// The kernel's bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether all kinds of `other` are in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Without the kinds of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl std::ops::BitOr for Namespaces {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Namespaces {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Opens a namespace file (`/proc/<pid>/ns/...` or a bind mount of one) and checks that it is one.
pub fn open(path: &CStr) -> SysResult<OwnedFd> {
    let fd = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?;
    kind_of(fd.as_fd())?;
    Ok(fd)
}

/// The kind of namespace a descriptor holds; EINVAL when it holds none.
pub fn kind_of(fd: BorrowedFd<'_>) -> SysResult<Namespaces> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this ioctl takes no argument and returns the kind.
    let kind = check(libc::c_long::from(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) }));
    let kind = kind.map_err(|error| if error == Errno::NOTTY { Errno::INVAL } else { error })?;
    Ok(Namespaces(u64::try_from(kind).unwrap_or_default()))
}

/// Joins a namespace, or with a pidfd the given kinds of that process at once (`setns(2)`). Affects the calling
/// thread only; a pid or time namespace affects its children.
pub fn join(fd: BorrowedFd<'_>, kinds: Namespaces) -> SysResult<()> {
    let kinds = libc::c_int::try_from(kinds.0).map_err(|_| Errno::INVAL)?;
    // SAFETY: setns takes a descriptor and a number; the calling thread's state is what the caller wants changed.
    check(libc::c_long::from(unsafe { libc::setns(fd.as_raw_fd(), kinds) })).map(drop)
}

/// Enters new namespaces (`unshare(2)`). Affects the calling thread only; a pid or time namespace affects its children.
pub fn unshare(kinds: Namespaces) -> SysResult<()> {
    let kinds = libc::c_int::try_from(kinds.0).map_err(|_| Errno::INVAL)?;
    // SAFETY: only namespace kinds are passed, none of the sharing flags that could break the runtime's assumptions.
    check(libc::c_long::from(unsafe { libc::unshare(kinds) })).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespace_files_open() {
        assert_eq!(kind_of(open(c"/proc/self/ns/net").unwrap().as_fd()), Ok(Namespaces::NETWORK));
        assert_eq!(kind_of(open(c"/proc/self/ns/user").unwrap().as_fd()), Ok(Namespaces::USER));
        assert_eq!(open(c"/etc/passwd").unwrap_err(), Errno::INVAL);
        assert_eq!(open(c"/nosuch").unwrap_err(), Errno::NOENT);
    }
}
