//! A sample from the files of version 2.

use super::file::Directory;
use super::statistics::{
    BlockEntry, BlockStatistics, CpuStatistics, HugeStatistics, MemoryStatistics, PidStatistics, Statistics,
    device, field, fields,
};

pub(super) fn sample(directory: &Directory) -> Statistics {
    Statistics {
        cpu: cpu(&directory.text("cpu.stat").unwrap_or_default()),
        memory: memory(directory),
        pids: pids(directory),
        block: block(&directory.text("io.stat").unwrap_or_default()),
        huge_pages: huge_pages(directory),
    }
}

/// Version 2 counts microseconds.
fn cpu(text: &str) -> CpuStatistics {
    let nanoseconds = |key| field(text, key).saturating_mul(1000);
    CpuStatistics {
        total: nanoseconds("usage_usec"),
        per_cpu: Vec::new(),
        user: nanoseconds("user_usec"),
        kernel: nanoseconds("system_usec"),
        periods: field(text, "nr_periods"),
        throttled_periods: field(text, "nr_throttled"),
        throttled_time: nanoseconds("throttled_usec"),
    }
}

fn memory(directory: &Directory) -> Option<MemoryStatistics> {
    Some(MemoryStatistics {
        usage: directory.number("memory.current")?,
        max_usage: directory.number("memory.peak").unwrap_or(0),
        fail_count: field(&directory.text("memory.events").unwrap_or_default(), "max"),
        limit: directory.number("memory.max").unwrap_or(u64::MAX),
        stats: fields(&directory.text("memory.stat").unwrap_or_default()),
    })
}

fn pids(directory: &Directory) -> Option<PidStatistics> {
    let limit = directory.number("pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
    Some(PidStatistics { current: directory.number("pids.current")?, limit })
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn block(text: &str) -> BlockStatistics {
    let mut block = BlockStatistics::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for word in words {
            let Some((key, value)) = word.split_once('=') else { continue };
            let Ok(value) = value.parse() else { continue };
            let entry = |operation| BlockEntry { major, minor, operation, value };
            match key {
                "rbytes" => block.service_bytes.push(entry("read")),
                "wbytes" => block.service_bytes.push(entry("write")),
                "rios" => block.serviced.push(entry("read")),
                "wios" => block.serviced.push(entry("write")),
                _ => {}
            }
        }
    }
    block
}

fn huge_pages(directory: &Directory) -> Vec<HugeStatistics> {
    let sample = |size: String| {
        let usage = directory.number(&format!("hugetlb.{size}.current"))?;
        let events = directory.text(&format!("hugetlb.{size}.events")).unwrap_or_default();
        Some(HugeStatistics { size, usage, fail_count: field(&events, "max") })
    };
    super::features::huge_page_sizes().into_iter().filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nanoseconds() {
        let sample = cpu(
            "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 3\nnr_throttled 1\nthrottled_usec 9\n",
        );
        assert_eq!(
            (sample.total, sample.user, sample.kernel, sample.throttled_time),
            (12_000, 7000, 5000, 9000)
        );
        assert_eq!((sample.periods, sample.throttled_periods), (3, 1));
    }

    #[test]
    fn block_lines() {
        let sample = block("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n");
        assert_eq!(sample.service_bytes.len(), 2);
        assert_eq!(sample.serviced[1], BlockEntry { major: 8, minor: 0, operation: "write", value: 4 });
    }
}
