//! Safe Linux mechanisms; the only crate with unsafe code.
//!
//! It owns one wrapper per system call that `rustix` does not have or does not make convenient, and the small
//! mechanisms built from them: processes, namespaces, mounts by descriptor, paths that cannot leave a root, control
//! groups, system call filters. It knows nothing of containers, images or documents; it only moves descriptors and
//! plain values.
//!
//! Functions used between `clone3` and `execve` take C strings, allocate nothing and hold no lock; their error is the
//! bare [`Errno`]. The rest returns [`std::io::Result`] or a module's own error.
//!
//! Reading order: [`root`] (paths below a directory), [`mount`], [`namespace`], [`clone`] and [`spawn`] (processes),
//! [`arguments`] and [`execute`] (becoming another program), [`identity`] and [`capability`] (who a process is),
//! [`descriptor`], [`pidfd`], [`terminal`], then the single-purpose rest.

#![expect(unsafe_code, reason = "system calls without a safe wrapper; every block says why it is sound")]

pub mod arguments;
pub mod bpf;
pub mod capability;
pub mod cgroup;
pub mod clone;
pub mod descriptor;
pub mod erofs;
pub mod errno;
pub mod event;
pub mod execute;
pub mod file;
pub mod identity;
pub mod loopback;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod overlay;
pub mod path_buffer;
pub mod pidfd;
pub mod process;
pub mod procfs;
pub mod requirement;
pub mod rlimit;
pub mod root;
pub mod scheduling;
pub mod seccomp;
pub mod signal;
pub mod socket_option;
pub mod spawn;
pub mod terminal;
pub mod threads;

pub use rustix::io::Errno;

/// The result of one system call.
pub type SysResult<T> = Result<T, Errno>;

/// Turns libc's -1 into the error number.
fn check(result: libc::c_long) -> SysResult<libc::c_long> {
    if result == -1 {
        // SAFETY: reading the calling thread's error number has no precondition.
        let number = unsafe { *libc::__errno_location() };
        return Err(Errno::from_raw_os_error(number));
    }
    Ok(result)
}
