//! What a group has used: the numbers Docker's `stats` shows, the same struct for both versions.

use super::{Cgroup, Layout, statistics_v1, statistics_v2};

/// One sample of a group's use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: CpuStatistics,
    /// Memory, where its controller is there.
    pub memory: Option<MemoryStatistics>,
    /// Tasks, where their controller is there.
    pub pids: Option<PidStatistics>,
    /// Block devices.
    pub block: BlockStatistics,
    /// Huge pages by size.
    pub huge_pages: Vec<HugeStatistics>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuStatistics {
    /// All time.
    pub total: u64,
    /// By processor; version 2 does not say.
    pub per_cpu: Vec<u64>,
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub kernel: u64,
    /// Periods of the quota that began.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time spent waiting for the next period.
    pub throttled_time: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStatistics {
    /// In use now, page cache included.
    pub usage: u64,
    /// The most ever in use; version 2 says so since Linux 5.19, but Docker does not show it there.
    pub max_usage: u64,
    /// How often the limit was hit.
    pub fail_count: u64,
    /// The limit; a huge number when there is none.
    pub limit: u64,
    /// The kernel's own list, in its order: `memory.stat`.
    pub stats: Vec<(String, u64)>,
}

/// Tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PidStatistics {
    /// Now.
    pub current: u64,
    /// The limit; none is 0, as Docker shows it.
    pub limit: u64,
}

/// Block device use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockStatistics {
    /// Bytes by device and operation.
    pub service_bytes: Vec<BlockEntry>,
    /// Operations by device and operation; version 2 has them here too, though Docker shows none.
    pub serviced: Vec<BlockEntry>,
}

/// One number of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total` on version 1; `read`, `write` on version 2.
    pub operation: &'static str,
    /// The number.
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugeStatistics {
    /// `2MB`, `1GB`.
    pub size: String,
    /// In use now.
    pub usage: u64,
    /// How often the limit was hit.
    pub fail_count: u64,
}

impl Cgroup {
    /// A sample now. What the kernel does not tell stays zero.
    pub fn statistics(&self) -> Statistics {
        match self.layout {
            Layout::Unified => self.unified.as_ref().map(statistics_v2::sample).unwrap_or_default(),
            Layout::Legacy | Layout::Hybrid => statistics_v1::sample(self),
        }
    }
}

/// The value after a key in lines of `key value`.
pub(super) fn field(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// All lines of `key value`.
pub(super) fn fields(text: &str) -> Vec<(String, u64)> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

/// `major:minor`.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
