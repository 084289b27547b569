//! What this machine can limit, and the refusal of limits it cannot have.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use model::{ErrorKind, Kinded};
use oci::runtime::{Cpu, Resources};

use super::file::Directory;
use super::{Error, Hierarchies, Layout, Result};

/// What the kernel offers; read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, shown one by one in Docker's info")]
pub struct Features {
    /// Memory can be limited.
    pub memory_limit: bool,
    /// Memory and swap together (version 1) or swap (version 2).
    pub swap_limit: bool,
    /// A soft limit.
    pub memory_reservation: bool,
    /// The killer of processes can be switched off (version 1).
    pub oom_kill_disable: bool,
    /// Swappiness per group (version 1).
    pub memory_swappiness: bool,
    /// TCP buffers (version 1).
    pub kernel_memory_tcp: bool,
    /// Relative processor weight.
    pub cpu_shares: bool,
    /// Processor quota and period.
    pub cpu_quota: bool,
    /// Real-time budgets (version 1).
    pub cpu_realtime: bool,
    /// Processor and memory node lists.
    pub cpuset: bool,
    /// The processors a group can have, as the kernel writes them: `0-3`.
    pub cpus: String,
    /// The memory nodes a group can have.
    pub mems: String,
    /// Number of tasks.
    pub pids: bool,
    /// Relative weight of block I/O.
    pub block_weight: bool,
    /// The same by device.
    pub block_weight_device: bool,
    /// Rates of block devices.
    pub block_throttle: bool,
    /// Access to device nodes.
    pub devices: bool,
    /// Sizes of huge pages that can be limited.
    pub huge_pages: HugePages,
}

/// Sizes of huge pages: `2MB`, `1GB`.
pub type HugePages = Vec<String>;

/// A limit this machine cannot have, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A list of processors that makes no sense.
    #[error("Invalid value {0} for cpuset cpus")]
    InvalidCpus(String),
    /// A list of memory nodes that makes no sense.
    #[error("Invalid value {0} for cpuset mems")]
    InvalidMems(String),
    /// Processors that are not there.
    #[error("Requested CPUs are not available - requested {requested}, available: {available}")]
    Cpus {
        /// The list asked for.
        requested: String,
        /// The list the machine has.
        available: String,
    },
    /// Memory nodes that are not there.
    #[error("Requested memory nodes are not available - requested {requested}, available: {available}")]
    Mems {
        /// The list asked for.
        requested: String,
        /// The list the machine has.
        available: String,
    },
    /// Less memory than a process can start with.
    #[error("Minimum memory limit allowed is 6MB")]
    LittleMemory,
    /// A total below its part.
    #[error("Minimum memoryswap limit should be larger than memory limit, see usage")]
    LittleSwap,
    /// A soft limit above the hard one.
    #[error("Minimum memory limit can not be less than memory reservation limit, see usage")]
    LargeReservation,
    /// Swappiness out of range.
    #[error("Invalid value: {0}, valid memory swappiness range is 0-100")]
    Swappiness(u64),
    /// A period out of range.
    #[error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")]
    Period,
    /// A quota too small to be kept.
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000)")]
    Quota,
    /// A weight out of range.
    #[error("Range of blkio weight is from 10 to 1000")]
    BlockWeight,
    /// A negative number that is not -1.
    #[error("invalid {limit} limit {value}")]
    Negative {
        /// The limit's name.
        limit: &'static str,
        /// The value.
        value: i64,
    },
}

impl Kinded for Refusal {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// The least memory Docker lets a container have.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

impl Features {
    /// Looks at the machine's hierarchies.
    pub fn detect(hierarchies: &Hierarchies) -> Self {
        let mut features =
            if hierarchies.layout() == Layout::Unified { unified(hierarchies) } else { legacy(hierarchies) };
        features.huge_pages =
            if hierarchies.controllers().contains(&"hugetlb") { huge_page_sizes() } else { Vec::new() };
        features
    }

    /// Refuses limits that this machine cannot have, before anything is made.
    pub fn check(&self, resources: &Resources) -> std::result::Result<(), Refusal> {
        if let Some(cpu) = &resources.cpu {
            self.check_cpu(cpu)?;
        }
        if let Some(memory) = &resources.memory {
            check_memory(memory)?;
        }
        if let Some(pids) = resources.pids.as_ref().filter(|pids| pids.limit < -1) {
            return Err(Refusal::Negative { limit: "pids", value: pids.limit });
        }
        let weights = resources.block_io.iter().flat_map(|block| {
            block.weight.into_iter().chain(block.weight_device.iter().filter_map(|device| device.weight))
        });
        match weights.filter(|weight| *weight != 0).all(|weight| (10..=1000).contains(&weight)) {
            true => Ok(()),
            false => Err(Refusal::BlockWeight),
        }
    }

    fn check_cpu(&self, cpu: &Cpu) -> std::result::Result<(), Refusal> {
        if cpu.period.is_some_and(|period| period != 0 && !(1000..=1_000_000).contains(&period)) {
            return Err(Refusal::Period);
        }
        if cpu.quota.is_some_and(|quota| quota > 0 && quota < 1000) {
            return Err(Refusal::Quota);
        }
        if let Some(value) = cpu.quota.filter(|quota| *quota < -1) {
            return Err(Refusal::Negative { limit: "cpu quota", value });
        }
        let cpus = parse_list(&cpu.cpus).ok_or_else(|| Refusal::InvalidCpus(cpu.cpus.clone()))?;
        if self.cpuset && !cpus.is_subset(&parse_list(&self.cpus).unwrap_or_default()) {
            return Err(Refusal::Cpus { requested: cpu.cpus.clone(), available: self.cpus.clone() });
        }
        let mems = parse_list(&cpu.mems).ok_or_else(|| Refusal::InvalidMems(cpu.mems.clone()))?;
        if self.cpuset && !mems.is_subset(&parse_list(&self.mems).unwrap_or_default()) {
            return Err(Refusal::Mems { requested: cpu.mems.clone(), available: self.mems.clone() });
        }
        Ok(())
    }
}

fn check_memory(memory: &oci::runtime::Memory) -> std::result::Result<(), Refusal> {
    let (limit, swap) = (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0));
    let reservation = memory.reservation.unwrap_or(0);
    let all = [("memory", limit), ("memory swap", swap), ("memory reservation", reservation)];
    if let Some((limit, value)) = all.into_iter().find(|(_, value)| *value < -1) {
        return Err(Refusal::Negative { limit, value });
    }
    if limit > 0 && limit < LEAST_MEMORY {
        return Err(Refusal::LittleMemory);
    }
    if limit > 0 && swap > 0 && swap < limit {
        return Err(Refusal::LittleSwap);
    }
    if limit > 0 && reservation > limit {
        return Err(Refusal::LargeReservation);
    }
    match memory.swappiness {
        Some(value) if value > 100 => Err(Refusal::Swappiness(value)),
        _ => Ok(()),
    }
}

/// The largest number a list may name: more than any kernel's limit of processors, and small enough that a
/// malicious range costs nothing.
const LARGEST: u32 = 8191;

/// The numbers of a list such as `0-3,7`; `None` when it is no such list. The empty list is empty.
pub(crate) fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    if text.trim().is_empty() {
        return Some(numbers);
    }
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (decimal(first)?, decimal(last)?);
        if first > last || last > LARGEST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn root(hierarchies: &Hierarchies, controller: &str) -> Option<Directory> {
    hierarchies.root_directory(controller).map(|fd: OwnedFd| Directory { fd, path: "/".into() })
}

fn legacy(hierarchies: &Hierarchies) -> Features {
    let has = |controller: &str, file: &str| {
        root(hierarchies, controller).is_some_and(|directory| directory.has(file))
    };
    let text = |file: &str| {
        root(hierarchies, "cpuset").and_then(|directory| directory.text(file)).unwrap_or_default()
    };
    let either = |one: &str, other: &str| has("blkio", one) || has("blkio", other);
    Features {
        memory_limit: has("memory", "memory.limit_in_bytes"),
        swap_limit: has("memory", "memory.memsw.limit_in_bytes"),
        memory_reservation: has("memory", "memory.soft_limit_in_bytes"),
        oom_kill_disable: has("memory", "memory.oom_control"),
        memory_swappiness: has("memory", "memory.swappiness"),
        kernel_memory_tcp: has("memory", "memory.kmem.tcp.limit_in_bytes"),
        cpu_shares: has("cpu", "cpu.shares"),
        cpu_quota: has("cpu", "cpu.cfs_quota_us"),
        cpu_realtime: has("cpu", "cpu.rt_runtime_us"),
        cpuset: has("cpuset", "cpuset.cpus"),
        cpus: text("cpuset.cpus").trim().to_owned(),
        mems: text("cpuset.mems").trim().to_owned(),
        pids: hierarchies.controllers().contains(&"pids"),
        block_weight: either("blkio.weight", "blkio.bfq.weight"),
        block_weight_device: either("blkio.weight_device", "blkio.bfq.weight_device"),
        block_throttle: has("blkio", "blkio.throttle.read_bps_device"),
        devices: has("devices", "devices.allow"),
        huge_pages: Vec::new(),
    }
}

/// The root group of version 2 has no limit files, so the controllers have to do as witnesses.
fn unified(hierarchies: &Hierarchies) -> Features {
    let controllers = hierarchies.controllers();
    let has = |name: &str| controllers.contains(&name);
    let text =
        |file: &str| root(hierarchies, "").and_then(|directory| directory.text(file)).unwrap_or_default();
    Features {
        memory_limit: has("memory"),
        swap_limit: has("memory") && std::path::Path::new("/proc/swaps").exists(),
        memory_reservation: has("memory"),
        cpu_shares: has("cpu"),
        cpu_quota: has("cpu"),
        cpuset: has("cpuset"),
        cpus: text("cpuset.cpus.effective").trim().to_owned(),
        mems: text("cpuset.mems.effective").trim().to_owned(),
        pids: has("pids"),
        block_weight: has("io"),
        block_weight_device: has("io"),
        block_throttle: has("io"),
        devices: true,
        ..Features::default()
    }
}

/// The sizes of huge pages of this machine, named as the cgroup files name them.
pub(crate) fn huge_page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let kilobytes = entries.flatten().filter_map(|entry| {
        entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
    });
    kilobytes.map(name_of_size).collect()
}

fn name_of_size(kilobytes: u64) -> String {
    match kilobytes {
        size if size >= 1 << 20 => format!("{}GB", size >> 20),
        size if size >= 1 << 10 => format!("{}MB", size >> 10),
        size => format!("{size}KB"),
    }
}

/// A page size becomes part of a file name: digits and a unit only.
pub(crate) fn page_size(text: &str) -> Result<&str> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_uppercase());
    let unit = &text[digits.len()..];
    let good = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && ["KB", "MB", "GB"].contains(&unit);
    if good { Ok(text) } else { Err(Error::Value { limit: "huge page size", value: text.into() }) }
}

#[cfg(test)]
mod tests {
    use oci::runtime::{Memory, Pids};

    use super::*;

    #[test]
    fn lists() {
        let rows: &[(&str, Option<&[u32]>)] = &[
            ("", Some(&[])),
            ("0", Some(&[0])),
            ("0-2,5", Some(&[0, 1, 2, 5])),
            ("2-1", None),
            ("-1", None),
            ("+1", None),
            ("0-4294967295", None),
            ("0-99999999999", None),
            ("NaN", None),
            ("0,", None),
            ("1 2", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|numbers| numbers.iter().copied().collect());
            assert_eq!(parse_list(text), expected, "{text:?}");
        }
    }

    #[test]
    fn refusals_use_dockers_words() {
        let features = Features { cpuset: true, cpus: "0-1".into(), mems: "0".into(), ..Features::default() };
        let check = |resources: Resources, expected: &str| {
            let text =
                features.check(&resources).map_or_else(|refusal| refusal.to_string(), |()| String::new());
            assert_eq!(text, expected);
        };
        let cpus = |cpus: &str| Resources {
            cpu: Some(Cpu { cpus: cpus.into(), ..Cpu::default() }),
            ..Resources::default()
        };
        check(cpus("0-99"), "Requested CPUs are not available - requested 0-99, available: 0-1");
        check(cpus("0-4294967295"), "Invalid value 0-4294967295 for cpuset cpus");
        check(cpus("1"), "");
        let memory = |limit, swap| Resources {
            memory: Some(Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() }),
            ..Resources::default()
        };
        check(memory(1024, 0), "Minimum memory limit allowed is 6MB");
        check(
            memory(1 << 30, 1 << 20),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        );
        check(memory(-5, 0), "invalid memory limit -5");
        check(memory(1 << 30, -1), "");
        check(Resources { pids: Some(Pids { limit: -3 }), ..Resources::default() }, "invalid pids limit -3");
    }

    #[test]
    fn page_sizes() {
        assert!(page_size("2MB").is_ok());
        for bad in ["", "MB", "2", "../2MB", "2MBMB"] {
            assert!(page_size(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (name_of_size(64), name_of_size(2048), name_of_size(1 << 20)),
            ("64KB".into(), "2MB".into(), "1GB".into())
        );
    }
}
