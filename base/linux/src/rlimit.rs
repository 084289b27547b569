//! Resource limits by their `RLIMIT_` names.

use std::sync::OnceLock;

use crate::{SysResult, check};

/// What `RLIMIT_NOFILE` was before [`raise_files`].
static FILES_BEFORE: OnceLock<Limit> = OnceLock::new();

const NOFILE: u32 = 7;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The kernel's number of the resource.
    pub resource: u32,
    /// In force.
    pub soft: u64,
    /// Ceiling.
    pub hard: u64,
}

/// Names without `RLIMIT_`, by the kernel's number.
pub const NAMES: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// The number of a resource by name, with or without `RLIMIT_`, in any case.
pub fn resource(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("RLIMIT_").unwrap_or(&name);
    NAMES.iter().position(|known| *known == name).and_then(|number| u32::try_from(number).ok())
}

impl Limit {
    /// Sets the limit for the calling process.
    pub fn apply(self) -> SysResult<()> {
        self.apply_to(0)
    }

    /// Sets the limit for a process (0 is the caller).
    pub fn apply_to(self, pid: i32) -> SysResult<()> {
        let values = [self.soft, self.hard];
        let none = std::ptr::null_mut::<u64>();
        // SAFETY: two 64-bit numbers are what the kernel reads; the old value is not asked for.
        check(unsafe { libc::syscall(libc::SYS_prlimit64, pid, self.resource, values.as_ptr(), none) })
            .map(drop)
    }
}

/// The limit on this process's descriptors.
pub fn files() -> Limit {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let number = |value: Option<u64>| value.unwrap_or(u64::MAX);
    Limit { resource: NOFILE, soft: number(limit.current), hard: number(limit.maximum) }
}

/// Lets this process have as many descriptors as it may; [`files_before`] is what its children should get.
pub fn raise_files() {
    let before = *FILES_BEFORE.get_or_init(files);
    // Where it can't be raised, the old one is lived with.
    let _ = Limit { soft: before.hard, ..before }.apply();
}

/// What the limit was when [`raise_files`] was called; none without that.
pub fn files_before() -> Option<Limit> {
    FILES_BEFORE.get().copied()
}

#[cfg(test)]
mod tests {
    use super::resource;

    #[test]
    fn names_are_numbers() {
        let cases = [
            ("RLIMIT_CPU", Some(0)),
            ("nofile", Some(7)),
            ("RLIMIT_RTTIME", Some(15)),
            ("RLIMIT_MOON", None),
        ];
        for (name, number) in cases {
            assert_eq!(resource(name), number, "{name}");
        }
    }
}
