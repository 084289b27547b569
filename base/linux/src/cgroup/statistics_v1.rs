//! A sample from the files of version 1.

use super::Cgroup;
use super::file::Directory;
use super::statistics::{
    BlockEntry, BlockStatistics, CpuStatistics, HugeStatistics, MemoryStatistics, PidStatistics, Statistics,
    device, field, fields,
};

/// The kernel counts `cpuacct.stat` in ticks of this many nanoseconds (USER_HZ is 100 on every architecture).
const TICK: u64 = 10_000_000;

pub(super) fn sample(group: &Cgroup) -> Statistics {
    Statistics {
        cpu: cpu(group),
        memory: group.directory("memory").and_then(memory),
        pids: group.directory("pids").and_then(pids),
        block: group.directory("blkio").map(block).unwrap_or_default(),
        huge_pages: group.directory("hugetlb").map(huge_pages).unwrap_or_default(),
    }
}

fn cpu(group: &Cgroup) -> CpuStatistics {
    let mut cpu = CpuStatistics::default();
    if let Some(directory) = group.directory("cpuacct") {
        let each = directory.text("cpuacct.usage_percpu").unwrap_or_default();
        cpu.per_cpu = each.split_whitespace().filter_map(|value| value.parse().ok()).collect();
        cpu.total = directory.number("cpuacct.usage").unwrap_or(0);
        let modes = directory.text("cpuacct.stat").unwrap_or_default();
        cpu.user = field(&modes, "user").saturating_mul(TICK);
        cpu.kernel = field(&modes, "system").saturating_mul(TICK);
    }
    if let Some(text) = group.directory("cpu").and_then(|directory| directory.text("cpu.stat")) {
        cpu.periods = field(&text, "nr_periods");
        cpu.throttled_periods = field(&text, "nr_throttled");
        cpu.throttled_time = field(&text, "throttled_time");
    }
    cpu
}

fn memory(directory: &Directory) -> Option<MemoryStatistics> {
    Some(MemoryStatistics {
        usage: directory.number("memory.usage_in_bytes")?,
        max_usage: directory.number("memory.max_usage_in_bytes").unwrap_or(0),
        fail_count: directory.number("memory.failcnt").unwrap_or(0),
        limit: directory.number("memory.limit_in_bytes").unwrap_or(u64::MAX),
        stats: fields(&directory.text("memory.stat").unwrap_or_default()),
    })
}

fn pids(directory: &Directory) -> Option<PidStatistics> {
    let limit = directory.number("pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
    Some(PidStatistics { current: directory.number("pids.current")?, limit })
}

fn block(directory: &Directory) -> BlockStatistics {
    // The scheduler's own counters when BFQ drives the disks, those of the throttling layer otherwise.
    let read = |bfq: &str, throttle: &str| {
        let entries = operations(&directory.text(bfq).unwrap_or_default());
        if entries.is_empty() { operations(&directory.text(throttle).unwrap_or_default()) } else { entries }
    };
    BlockStatistics {
        service_bytes: read(
            "blkio.bfq.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes_recursive",
        ),
        serviced: read("blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
    }
}

/// Lines of `8:0 Read 4096`; the last line is a total without a device.
fn operations(text: &str) -> Vec<BlockEntry> {
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device(words.next()?)?;
        let word = words.next()?;
        let operation = ["Read", "Write", "Sync", "Async", "Discard", "Total"]
            .into_iter()
            .find(|known| *known == word)?;
        Some(BlockEntry { major, minor, operation, value: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

fn huge_pages(directory: &Directory) -> Vec<HugeStatistics> {
    let sizes = super::features::huge_page_sizes().into_iter();
    let sample = |size: String| {
        let usage = directory.number(&format!("hugetlb.{size}.usage_in_bytes"))?;
        let fail_count = directory.number(&format!("hugetlb.{size}.failcnt")).unwrap_or(0);
        Some(HugeStatistics { size, usage, fail_count })
    };
    sizes.filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_lines() {
        let text = "8:0 Read 4096\n8:0 Write 10\n8:0 Discard 0\n8:0 Total 4106\nTotal 4106\n";
        let entries = operations(text);
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[1], BlockEntry { major: 8, minor: 0, operation: "Write", value: 10 });
    }
}
