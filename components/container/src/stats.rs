//! One sample of what a container uses, with the machine's own numbers that ratios need.

use std::fs;

use linux::cgroup::{Hierarchies, Statistics};
use model::{ErrorKind, Kinded, Timestamp};

/// Clock ticks a second in /proc/stat; the kernel has told user space 100 on every machine for decades.
const TICKS: u64 = 100;
const TICK_NANOSECONDS: u64 = 1_000_000_000 / TICKS;

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub read: Timestamp,
    /// The container's numbers.
    pub cgroup: Statistics,
    /// Processor time of the whole machine, nanoseconds.
    pub system_cpu: u64,
    /// Processors that are online.
    pub online_cpus: u32,
    /// Memory the container may use, bytes: its limit, or the machine's memory when it has none.
    pub memory_limit: u64,
}

/// A sample can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The control group is gone or unreadable.
    #[error("the statistics can't be read")]
    Cgroup(#[source] linux::cgroup::Error),
}

impl Kinded for StatsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Takes a sample of the control group at this path.
///
/// # Errors
/// When the group does not exist.
pub fn sample(hierarchies: &Hierarchies, cgroup_path: &str) -> Result<Sample, StatsError> {
    let cgroup = hierarchies.open(cgroup_path).map_err(StatsError::Cgroup)?.statistics();
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let machine_memory = machine_memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let limit = cgroup.memory.as_ref().map_or(u64::MAX, |memory| memory.limit);
    Ok(Sample {
        read: Timestamp::now(),
        cgroup,
        system_cpu: system_cpu(&stat),
        online_cpus: online_cpus(&stat),
        memory_limit: limit.min(machine_memory),
    })
}

/// Processor time of the machine in nanoseconds, from /proc/stat.
fn system_cpu(stat: &str) -> u64 {
    let Some(line) = stat.lines().find_map(|line| line.strip_prefix("cpu ")) else { return 0 };
    // user nice system idle iowait irq softirq; the later fields are counted in the first ones.
    let ticks: u64 = line.split_whitespace().take(7).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks.saturating_mul(TICK_NANOSECONDS)
}

fn online_cpus(stat: &str) -> u32 {
    let is_cpu = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    u32::try_from(stat.lines().filter(is_cpu).count()).unwrap_or(u32::MAX)
}

/// Bytes of memory of the machine, from /proc/meminfo.
fn machine_memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes.saturating_mul(1024))
}

/// What a network interface has carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceStatistics {
    /// Its name.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Received packets dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Packets not sent.
    pub tx_dropped: u64,
}

/// The interfaces of a process's network namespace besides loopback, read without entering it.
pub fn interfaces(pid: i32) -> Vec<InterfaceStatistics> {
    fs::read_to_string(format!("/proc/{pid}/net/dev")).map(|text| parse_interfaces(&text)).unwrap_or_default()
}

fn parse_interfaces(text: &str) -> Vec<InterfaceStatistics> {
    let parse = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers[..]
        else {
            return None;
        };
        let name = name.trim().to_owned();
        Some(InterfaceStatistics {
            name,
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        })
    };
    let mut found: Vec<_> = text.lines().skip(2).filter_map(parse).filter(|one| one.name != "lo").collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_numbers_are_read() {
        let stat = "cpu  10 0 5 100 1 0 1 7 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n";
        assert_eq!(system_cpu(stat), 117 * 10_000_000);
        assert_eq!(online_cpus(stat), 2);
        assert_eq!(machine_memory("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2048 * 1024);
        assert_eq!((system_cpu(""), machine_memory("")), (0, u64::MAX));
    }

    #[test]
    fn interfaces_are_read() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                    eth0:486 5 1 2 0 0 0 0 70 6 3 4 0 0 0 0\n bad: 1\n";
        let found = parse_interfaces(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].rx_bytes, found[0].tx_dropped), ("eth0", 486, 4));
        assert!(!interfaces(1).iter().any(|one| one.name == "lo"));
    }
}
