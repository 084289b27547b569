//! CPU, input and output scheduling, CPU affinity, memory policy.

use std::sync::OnceLock;

use crate::{SysResult, check};

/// Processors this program may use at the same time, at least one. Asked once: telling them takes the kernel longer than
/// reading a small file.
pub fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// CPU scheduling of a thread (`sched_setattr(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Policy number.
    pub policy: u32,
    /// SCHED_FLAG bits.
    pub flags: u64,
    /// Niceness.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// The kernel's `struct sched_attr`.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

impl Scheduling {
    /// Applies to the calling thread.
    pub fn apply(self) -> SysResult<()> {
        let attributes = Attributes {
            size: u32::try_from(size_of::<Attributes>()).unwrap_or_default(),
            policy: self.policy,
            flags: self.flags,
            nice: self.nice,
            priority: self.priority,
            runtime: self.runtime,
            deadline: self.deadline,
            period: self.period,
        };
        // SAFETY: the structure has the size it states.
        check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
    }
}

/// Sets the input and output priority of the calling thread: class 1 to 3, priority 0 to 7.
pub fn set_io_priority(class: i32, priority: i32) -> SysResult<()> {
    const WHO_PROCESS: i32 = 1;
    // SAFETY: plain system call on numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, (class << 13) | priority) }).map(drop)
}

/// A set of CPUs or memory nodes, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(Vec<u64>);

impl Numbers {
    /// The highest number that makes sense.
    const HIGHEST: usize = 8191;

    /// Reads a list such as `0,2-4`; nothing for one that is none.
    pub fn parse(list: &str) -> Option<Self> {
        let mut words = Vec::new();
        for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last > Self::HIGHEST {
                return None;
            }
            words.resize(words.len().max(last / 64 + 1), 0);
            for number in first..=last {
                *words.get_mut(number / 64)? |= 1 << (number % 64);
            }
        }
        if words.is_empty() { None } else { Some(Self(words)) }
    }

    /// Runs the calling thread on these CPUs only.
    pub fn apply_affinity(&self) -> SysResult<()> {
        let bytes = size_of_val(&self.0[..]);
        // SAFETY: the kernel reads as many bytes as it is told.
        check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, self.0.as_ptr()) }).map(drop)
    }
}

/// Sets the memory policy of the calling thread.
pub fn set_memory_policy(mode: u32, nodes: Option<&Numbers>) -> SysResult<()> {
    let (pointer, bits) =
        nodes.map_or((std::ptr::null(), 0), |nodes| (nodes.0.as_ptr(), nodes.0.len() * 64 + 1));
    // SAFETY: the kernel reads as many bits (less one) as it is told.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bits() {
        for (list, words) in
            [("0", vec![1]), ("0-1, 3", vec![0b1011]), ("64", vec![0, 1]), (" 1 - 2 ", vec![6])]
        {
            assert_eq!(Numbers::parse(list), Some(Numbers(words)), "{list}");
        }
        for list in ["", "a", "2-1", "0-4294967295", "-1", "9999999999999999999999"] {
            assert_eq!(Numbers::parse(list), None, "{list}");
        }
    }
}
