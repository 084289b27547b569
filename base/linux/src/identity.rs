//! Who the calling process is: user, groups, session keyring, privileges, dumpability.

use crate::{SysResult, check};

/// Becomes a group, with exactly these supplementary groups.
pub fn set_groups(gid: u32, supplementary: &[u32]) -> SysResult<()> {
    // SAFETY: the raw call (the libc one would involve other threads) reads as many ids as it is told.
    check(unsafe { libc::syscall(libc::SYS_setgroups, supplementary.len(), supplementary.as_ptr()) })?;
    set_gid(gid)
}

/// Becomes a group.
pub fn set_gid(gid: u32) -> SysResult<()> {
    // SAFETY: plain system call on numbers, for the calling thread only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Becomes a user.
pub fn set_uid(uid: u32) -> SysResult<()> {
    // SAFETY: plain system call on numbers, for the calling thread only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Makes files as somebody else, with all capabilities kept. The calling thread only.
pub fn set_file_owner(uid: u32, gid: u32) -> SysResult<()> {
    let held = rustix::thread::capabilities(None)?;
    // SAFETY: plain system calls on numbers, for the calling thread only; they return the previous id, never an error.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
    }
    rustix::thread::set_capabilities(None, held)
}

/// Keeps permitted capabilities across a change of the user id.
pub fn keep_capabilities(keep: bool) -> SysResult<()> {
    rustix::thread::set_keep_capabilities(keep)
}

/// Never gains privileges by execve from now on.
pub fn set_no_new_privileges() -> SysResult<()> {
    rustix::thread::set_no_new_privs(true)
}

/// Whether others may trace the process and read its memory and descriptors; execve restores it.
pub fn set_dumpable(dumpable: bool) -> SysResult<()> {
    // SAFETY: plain system call on numbers.
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable), 0, 0, 0)
    }))
    .map(drop)
}

/// Joins a new anonymous session keyring, so that keys of the caller's session are out of reach.
pub fn new_session_keyring() -> SysResult<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let unnamed = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name means an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, unnamed) }).map(drop)
}

/// Sets the host name of the calling process's UTS namespace.
pub fn set_host_name(name: &[u8]) -> SysResult<()> {
    rustix::system::sethostname(name)
}

/// Sets the NIS domain name of the calling process's UTS namespace.
pub fn set_domain_name(name: &[u8]) -> SysResult<()> {
    // SAFETY: the kernel reads as many bytes as it is told.
    check(libc::c_long::from(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })).map(drop)
}

/// The execution domain and its flags (`personality(2)`).
pub fn set_personality(persona: u32) -> SysResult<()> {
    // SAFETY: plain system call on a number.
    check(libc::c_long::from(unsafe { libc::personality(libc::c_ulong::from(persona)) })).map(drop)
}

/// The calling process's working directory as the kernel names it: `(unreachable)...` when it is outside the root.
pub fn working_directory(buffer: &mut [u8]) -> SysResult<&[u8]> {
    // SAFETY: the kernel writes at most as many bytes as it is told.
    let length = check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    let length = usize::try_from(length).unwrap_or_default().saturating_sub(1);
    buffer.get(..length).ok_or(crate::Errno::RANGE)
}
