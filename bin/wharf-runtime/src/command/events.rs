//! `events`: statistics of a container, once or again and again.

use std::time::Duration;

use linux::cgroup::Statistics;

use crate::Context;
use crate::arguments::{Flag, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[Flag::switch("stats"), Flag::value("interval")], false)?;
    let id = parsed.id("events")?;
    let container = context.store.load(id)?;
    let interval = interval(parsed.get("interval").unwrap_or("5s"))?;
    loop {
        if container.status() == oci::runtime::Status::Stopped {
            return Err(Failure::new("container is not running"));
        }
        let cgroup = container.cgroup().ok_or_else(|| Failure::new("container has no cgroup"))?;
        println!("{}", document(id, &cgroup.statistics()));
        if parsed.has("stats") {
            return Ok(0);
        }
        std::thread::sleep(interval);
    }
}

fn interval(text: &str) -> Result<Duration> {
    let seconds = text.trim_end_matches('s').parse::<u64>().ok().filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| Failure::new("duration interval must be greater than 0"))
}

fn document(id: &str, statistics: &Statistics) -> serde_json::Value {
    let cpu = &statistics.cpu;
    let memory = statistics.memory.clone().unwrap_or_default();
    let raw: serde_json::Map<_, _> =
        memory.stats.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    let pids = statistics.pids.unwrap_or_default();
    serde_json::json!({
        "type": "stats",
        "id": id,
        "data": {
            "cpu": {
                "usage": { "total": cpu.total, "percpu": cpu.per_cpu, "kernel": cpu.kernel, "user": cpu.user },
                "throttling": {
                    "periods": cpu.periods,
                    "throttledPeriods": cpu.throttled_periods,
                    "throttledTime": cpu.throttled_time,
                },
            },
            "memory": {
                "usage": {
                    "limit": memory.limit,
                    "usage": memory.usage,
                    "max": memory.max_usage,
                    "failcnt": memory.fail_count,
                },
                "raw": raw,
            },
            "pids": { "current": pids.current, "limit": pids.limit },
            "blkio": {},
            "hugetlb": {},
            "intel_rdt": {},
            "network_interfaces": null,
        },
    })
}
