//! Mounts by descriptor: made detached, shaped, then attached to a place that is a descriptor too.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::path::Arg;

use crate::{Errno, SysResult, check};

/// A file system being configured.
#[derive(Debug)]
pub struct Configuration {
    fd: OwnedFd,
}

impl Configuration {
    /// Begins the configuration of a file system of a type the kernel knows (ENODEV otherwise).
    pub fn new(kind: &CStr) -> SysResult<Self> {
        Ok(Self { fd: fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)? })
    }

    /// Sets an option without a value.
    pub fn flag(&self, key: &CStr) -> SysResult<()> {
        fsconfig_set_flag(&self.fd, key)
    }

    /// Sets an option with a value of at most 255 bytes.
    pub fn string(&self, key: &CStr, value: &CStr) -> SysResult<()> {
        fsconfig_set_string(&self.fd, key, value)
    }

    /// Sets an option whose value is a directory or file, by descriptor.
    pub fn descriptor(&self, key: &CStr, value: BorrowedFd<'_>) -> SysResult<()> {
        fsconfig_set_fd(&self.fd, key, value)
    }

    /// Makes the file system and a detached mount of it.
    pub fn mount(&self, attributes: u64) -> SysResult<OwnedFd> {
        fsconfig_create(&self.fd)?;
        let attributes =
            MountAttrFlags::from_bits_retain(u32::try_from(attributes).map_err(|_| Errno::INVAL)?);
        fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }

    /// What the kernel had to say about a refused option, if anything.
    pub fn message(&self) -> Option<String> {
        let mut text = vec![0; 1024];
        let length = rustix::io::read(&self.fd, &mut text[..]).ok()?;
        text.truncate(length);
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        Some(text.split_once(' ').map_or(text.clone(), |(_, message)| message.to_owned()))
    }
}

/// Attribute bits of a mount (`mount_setattr(2)`).
pub mod attribute {
    /// Nothing can be changed through it.
    pub const READ_ONLY: u64 = 0x01;
    /// No privileges by set-user-id programs.
    pub const NO_SUID: u64 = 0x02;
    /// Device nodes do not work.
    pub const NO_DEVICES: u64 = 0x04;
    /// Nothing can be executed.
    pub const NO_EXECUTE: u64 = 0x08;
    /// All access time settings, to be cleared before one is set.
    pub const ACCESS_TIME: u64 = 0x70;
    /// Access times never change.
    pub const NO_ACCESS_TIME: u64 = 0x10;
    /// Access times change with every access.
    pub const STRICT_ACCESS_TIME: u64 = 0x20;
    /// Access times of directories never change.
    pub const NO_DIRECTORY_ACCESS_TIME: u64 = 0x80;
    /// Ids are mapped by a user namespace.
    pub const ID_MAP: u64 = 0x0010_0000;
    /// Symbolic links are not followed.
    pub const NO_LINKS: u64 = 0x0020_0000;
}

/// How a mount shares mounts made below it with copies of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// With nobody.
    Private,
    /// Both ways.
    Shared,
    /// It receives only.
    Slave,
    /// With nobody, and it cannot be cloned.
    Unbindable,
}

impl Propagation {
    fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// A change of a mount's attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'fd> {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// New propagation.
    pub propagation: Option<Propagation>,
    /// User namespace whose mapping a detached mount gets.
    pub id_map: Option<BorrowedFd<'fd>>,
    /// Also for all mounts below.
    pub recursive: bool,
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

impl Change<'_> {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation.is_none() && self.id_map.is_none()
    }

    /// Applies the change to the mount a descriptor is on the root of.
    pub fn apply(&self, mount: BorrowedFd<'_>) -> SysResult<()> {
        self.apply_at(mount, c"")
    }

    /// Applies the change to the mount at a path below a directory.
    pub fn apply_at(&self, directory: BorrowedFd<'_>, path: &CStr) -> SysResult<()> {
        let mut attributes = MountAttr {
            set: self.set,
            clear: self.clear,
            propagation: self.propagation.map_or(0, Propagation::bits),
            user_namespace: 0,
        };
        if let Some(namespace) = self.id_map {
            attributes.set |= attribute::ID_MAP;
            attributes.user_namespace = u64::try_from(namespace.as_raw_fd()).map_err(|_| Errno::BADF)?;
        }
        let mut flags = libc::AT_EMPTY_PATH;
        if self.recursive {
            flags |= libc::AT_RECURSIVE;
        }
        // SAFETY: the path is zero-terminated and the structure has the size passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                directory.as_raw_fd(),
                path.as_ptr(),
                flags,
                &raw const attributes,
                size_of::<MountAttr>(),
            )
        };
        check(result).map(drop)
    }
}

/// A detached copy of the mount at a path (relative to a directory, which an empty path means itself).
pub fn clone_tree<P: Arg>(directory: BorrowedFd<'_>, path: P, recursive: bool) -> SysResult<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, path, flags)
}

/// A detached copy of the mount at a path in the mount namespace of another process, without what is mounted below it.
/// No link on the way is followed.
pub fn clone_tree_of(pid: u32, path: &Path) -> SysResult<OwnedFd> {
    let namespace = CString::new(format!("/proc/{pid}/ns/mnt")).map_err(|_| Errno::INVAL)?;
    let namespace = crate::namespace::open(&namespace)?;
    let fetch = || {
        // SAFETY: the calling thread, which ends right after this, gets a root and a working directory of its own;
        // only such a thread may enter a mount namespace.
        check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_FS) }))?;
        crate::namespace::join(namespace.as_fd(), crate::namespace::Namespaces::MOUNT)?;
        let place = crate::root::RootDir::open(Path::new("/"))?.resolve_plain(path)?;
        clone_tree(place.as_fd(), c"", false)
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("mount-fetch".into()).stack_size(64 * 1024);
        let thread = builder.spawn_scoped(scope, fetch).map_err(|_| Errno::AGAIN)?;
        thread.join().map_err(|_| Errno::IO)?
    })
}

/// Attaches a detached mount on what a descriptor holds.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> SysResult<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Makes a mount the root of the calling process's mount namespace and drops the old root with all below it. The
/// working directory is the new root afterwards.
pub fn pivot_into(root: BorrowedFd<'_>) -> SysResult<()> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let old = rustix::fs::openat(rustix::fs::CWD, c"/", flags, rustix::fs::Mode::empty())?;
    rustix::process::fchdir(root)?;
    // The old root is then mounted on top of the new one.
    rustix::process::pivot_root(c".", c".")?;
    rustix::process::fchdir(&old)?;
    // Nothing unmounted here may be unmounted for the host, too.
    Change { propagation: Some(Propagation::Slave), recursive: true, ..Change::default() }
        .apply(old.as_fd())?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

/// Moves a mount over the root and changes into it, for roots that cannot be pivoted (an initial ramdisk).
pub fn switch_into(root: BorrowedFd<'_>) -> SysResult<()> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(c".")?;
    rustix::process::chdir(c"/")
}

/// Detaches what is mounted at a path.
pub fn detach(path: &CStr) -> SysResult<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}

/// The magic number of the file system a descriptor is on.
pub fn file_system_kind(fd: impl AsFd) -> SysResult<i64> {
    Ok(rustix::fs::fstatfs(fd)?.f_type)
}
