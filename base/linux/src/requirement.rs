//! Which system calls wharf cannot do without, and whether this kernel has them.

use rustix::io::Errno;

/// A system call that has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its name.
    pub name: &'static str,
    /// The release of Linux that brought it.
    pub since: &'static str,
    number: libc::c_long,
}

/// The newest of those below.
pub const LEAST_LINUX: &str = "5.12";

const fn call(name: &'static str, since: &'static str, number: libc::c_long) -> Requirement {
    Requirement { name, since, number }
}

const REQUIREMENTS: [Requirement; 8] = [
    call("openat2", "5.6", libc::SYS_openat2),
    call("clone3", "5.3", libc::SYS_clone3),
    call("fsopen", "5.2", libc::SYS_fsopen),
    call("open_tree", "5.2", libc::SYS_open_tree),
    call("move_mount", "5.2", libc::SYS_move_mount),
    call("mount_setattr", "5.12", libc::SYS_mount_setattr),
    call("pidfd_open", "5.3", libc::SYS_pidfd_open),
    call("close_range", "5.9", libc::SYS_close_range),
];

/// Those that this kernel, or a filter of system calls around us, does not know.
pub fn missing() -> impl Iterator<Item = Requirement> {
    REQUIREMENTS.into_iter().filter(is_missing)
}

#[expect(unsafe_code, reason = "there is no other way to ask for a system call by number")]
fn is_missing(requirement: &Requirement) -> bool {
    // SAFETY: with -1 for the first argument and 0 for all others, each of the calls above is refused before it does or
    // writes anything: a descriptor, process or pointer that is none, a size of 0, or a range that ends before it begins.
    let result = unsafe { libc::syscall(requirement.number, -1_i64, 0_i64, 0_i64, 0_i64, 0_i64) };
    crate::check(result) == Err(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_all_of_them() {
        assert_eq!(missing().collect::<Vec<_>>(), []);
    }

    #[test]
    fn an_unknown_call_is_missing() {
        assert!(is_missing(&call("none", "9.9", 100_000)));
    }
}
