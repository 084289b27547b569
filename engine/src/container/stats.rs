//! `stats`: samples of the container's cgroup, one a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::container::Container;
use ::container::stats::{Sample, interfaces, sample};
use api::container::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats, ThrottlingData,
};
use linux::cgroup::{BlockEntry, Statistics};

use super::create_record::settings_of;
use super::lookup;
use super::settings::NetworkMode;
use crate::Result;
use crate::engine::Inner;

const PERIOD: Duration = Duration::from_secs(1);

/// Samples of one container.
pub struct StatsStream {
    inner: Arc<Inner>,
    container: Arc<Container>,
    previous: Option<(String, CpuStats)>,
    streaming: bool,
    one_shot: bool,
    finished: bool,
    first: bool,
}

impl std::fmt::Debug for StatsStream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("StatsStream").field("container", self.container.id()).finish_non_exhaustive()
    }
}

pub(crate) fn stats(
    inner: &Arc<Inner>,
    reference: &str,
    one_shot: bool,
    stream: bool,
) -> Result<StatsStream> {
    let container = inner.find(reference)?;
    Ok(StatsStream {
        inner: Arc::clone(inner),
        container,
        previous: None,
        streaming: stream,
        one_shot,
        finished: false,
        first: true,
    })
}

impl Iterator for StatsStream {
    type Item = Stats;

    /// The next sample; waits a second between two. The last one of a container that has ended is empty.
    fn next(&mut self) -> Option<Stats> {
        if self.finished {
            return None;
        }
        if !self.streaming {
            self.finished = true;
            if !self.one_shot && self.runs() {
                self.take();
                std::thread::sleep(PERIOD);
            }
            return Some(self.take());
        }
        if !self.first {
            std::thread::sleep(PERIOD);
        }
        self.first = false;
        self.finished = self.inner.containers.get(self.container.id()).is_none();
        (!self.finished).then(|| self.take())
    }
}

impl StatsStream {
    fn runs(&self) -> bool {
        self.container.record().lifecycle.state.has_process()
    }

    fn take(&mut self) -> Stats {
        let record = self.container.record();
        let empty = Stats {
            read: model::timestamp::ZERO.to_owned(),
            preread: model::timestamp::ZERO.to_owned(),
            name: format!("/{}", record.name),
            id: record.id.to_string(),
            ..Stats::default()
        };
        let Ok(settings) = settings_of(&record) else { return empty };
        if !self.runs() {
            return empty;
        }
        let path = lookup::cgroups_path(&self.inner, &settings, record.id.as_str());
        let Ok(sample) = sample(&self.inner.hierarchies, &path) else { return empty };
        let cpu = cpu_stats(&sample);
        let (preread, precpu_stats) = match self.previous.replace((sample.read.to_string(), cpu.clone())) {
            Some(previous) => previous,
            None => (model::timestamp::ZERO.to_owned(), CpuStats::default()),
        };
        let has_network =
            !matches!(settings.network, NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_));
        let networks = has_network.then(|| network_stats(record.lifecycle.state.pid()));
        Stats {
            read: sample.read.to_string(),
            // Docker leaves both out of a single sample of what runs.
            name: if self.one_shot && !self.streaming { String::new() } else { empty.name.clone() },
            id: if self.one_shot && !self.streaming { String::new() } else { empty.id.clone() },
            preread,
            pids_stats: pids_stats(&sample.cgroup),
            blkio_stats: blkio_stats(&sample.cgroup),
            cpu_stats: cpu,
            precpu_stats,
            memory_stats: memory_stats(&sample),
            networks,
            ..empty
        }
    }
}

fn network_stats(pid: i32) -> BTreeMap<String, NetworkStats> {
    interfaces(pid)
        .into_iter()
        .map(|counters| {
            let stats = NetworkStats {
                rx_bytes: counters.rx_bytes,
                rx_packets: counters.rx_packets,
                rx_errors: counters.rx_errors,
                rx_dropped: counters.rx_dropped,
                tx_bytes: counters.tx_bytes,
                tx_packets: counters.tx_packets,
                tx_errors: counters.tx_errors,
                tx_dropped: counters.tx_dropped,
            };
            (counters.name, stats)
        })
        .collect()
}

fn cpu_stats(sample: &Sample) -> CpuStats {
    let cpu = &sample.cgroup.cpu;
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: cpu.total,
            percpu_usage: (!cpu.per_cpu.is_empty()).then(|| cpu.per_cpu.clone()),
            usage_in_kernelmode: cpu.kernel,
            usage_in_usermode: cpu.user,
        },
        system_cpu_usage: sample.system_cpu,
        online_cpus: sample.online_cpus,
        throttling_data: ThrottlingData {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_time,
        },
    }
}

fn memory_stats(sample: &Sample) -> MemoryStats {
    let Some(memory) = &sample.cgroup.memory else { return MemoryStats::default() };
    MemoryStats {
        usage: memory.usage,
        max_usage: memory.max_usage,
        stats: Some(memory.stats.iter().cloned().collect()),
        failcnt: memory.fail_count,
        limit: sample.memory_limit,
        ..MemoryStats::default()
    }
}

fn pids_stats(statistics: &Statistics) -> PidsStats {
    let pids = statistics.pids.unwrap_or_default();
    PidsStats { current: pids.current, limit: pids.limit }
}

fn blkio_stats(statistics: &Statistics) -> BlkioStats {
    let entries = |list: &[BlockEntry]| {
        let entries = list.iter().map(|entry| BlkioEntry {
            major: entry.major,
            minor: entry.minor,
            op: entry.operation.to_lowercase(),
            value: entry.value,
        });
        Some(entries.collect::<Vec<_>>())
    };
    BlkioStats {
        io_service_bytes_recursive: entries(&statistics.block.service_bytes),
        io_serviced_recursive: entries(&statistics.block.serviced),
        io_queue_recursive: Some(Vec::new()),
        io_service_time_recursive: Some(Vec::new()),
        io_wait_time_recursive: Some(Vec::new()),
        io_merged_recursive: Some(Vec::new()),
        io_time_recursive: Some(Vec::new()),
        sectors_recursive: Some(Vec::new()),
    }
}
