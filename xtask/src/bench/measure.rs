//! Stopwatches: wall time, the machine's CPU time, proportional memory of a family of processes.

use std::time::{Duration, Instant};

/// What an operation took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Milliseconds from start to end.
    pub wall: f64,
    /// Milliseconds of CPU of the whole machine, idle consumption taken off.
    pub cpu: f64,
}

/// CPU time of the whole machine since boot in nanoseconds.
pub(crate) fn machine_cpu() -> u64 {
    if let Some(value) = std::fs::read_to_string("/sys/fs/cgroup/cpuacct/cpuacct.usage")
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        return value;
    }
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|&at| fields.get(at)).sum::<u64>();
    busy * 10_000_000
}

/// Runs an operation once; what the kernel does for it shortly afterwards is counted as CPU, not as wall time.
pub(crate) fn once(operation: impl FnOnce() -> Result<(), String>) -> Result<Cost, String> {
    let cpu = machine_cpu();
    let start = Instant::now();
    operation()?;
    let wall = start.elapsed();
    Ok(Cost { wall: milliseconds(wall), cpu: as_milliseconds(machine_cpu().saturating_sub(cpu)) })
}

/// Median wall and mean CPU of several turns of two operations that alternate.
pub(crate) fn alternate(
    turns: usize,
    mut first: impl FnMut() -> Result<(), String>,
    mut second: impl FnMut() -> Result<(), String>,
) -> Result<(Cost, Cost), String> {
    first()?;
    second()?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        left.push(settled(&mut first)?);
        right.push(settled(&mut second)?);
    }
    Ok((summary(&left), summary(&right)))
}

/// One turn with a pause behind it, so that teardown in the background is paid by the one who caused it.
fn settled(operation: &mut impl FnMut() -> Result<(), String>) -> Result<Cost, String> {
    let cpu = machine_cpu();
    let start = Instant::now();
    operation()?;
    let wall = milliseconds(start.elapsed());
    std::thread::sleep(Duration::from_millis(120));
    Ok(Cost { wall, cpu: as_milliseconds(machine_cpu().saturating_sub(cpu)) })
}

fn summary(costs: &[Cost]) -> Cost {
    Cost { wall: median(costs.iter().map(|cost| cost.wall)), cpu: median(costs.iter().map(|cost| cost.cpu)) }
}

/// The middle value.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "measured times, shown with two digits")]
fn as_milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// Processes whose command line contains a text.
pub(crate) fn family(text: &str) -> Vec<u32> {
    let own = std::process::id();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(text)
        })
        .collect()
}

/// A line of /proc/PID/smaps_rollup summed over processes, in KiB.
pub(crate) fn memory(pids: &[u32], field: &str) -> f64 {
    pids.iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .filter_map(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix(field)?
                    .trim_start_matches(':')
                    .split_whitespace()
                    .next()?
                    .parse::<f64>()
                    .ok()
            })
        })
        .sum()
}

/// Voluntary context switches of all threads of a process: each is a wake-up.
pub(crate) fn wakeups(pid: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
        })
        .sum()
}
