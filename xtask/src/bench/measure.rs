//! Stopwatches: wall time, the machine's CPU time, proportional memory of a family of processes.

use std::time::{Duration, Instant};

use crate::Outcome;

/// What an operation took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Milliseconds from start to end.
    pub wall: f64,
    /// Milliseconds of CPU of the whole machine, idle consumption taken off.
    pub cpu: f64,
}

/// The cgroup, in every hierarchy, that this program, both engines, their command lines and their containers live in,
/// so that the work of strangers on the same machine is not counted.
pub(crate) struct Enclosure;

impl Enclosure {
    /// Moves this program into it; children inherit it. What runs that were cut off have left goes.
    pub(crate) fn enter() -> Result<Self, String> {
        forget_cut_off();
        let dir = accounting_dir();
        let text = |error: std::io::Error| format!("{}: {error}", dir.display());
        std::fs::create_dir_all(&dir).map_err(text)?;
        std::fs::write(dir.join("cgroup.procs"), std::process::id().to_string()).map_err(text)?;
        Ok(Self)
    }

    /// The parent of an engine's containers.
    pub(crate) fn parent(engine: &str) -> String {
        format!("/{}/{engine}", enclosure_name())
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        let _ = std::fs::write("/sys/fs/cgroup/cpuacct/cgroup.procs", std::process::id().to_string());
        testkit::census::remove_empty_groups(&enclosure_name());
    }
}

/// What enclosures and folders of this program are called, before its process id.
const NAME: &str = "wharf-bench-";

fn enclosure_name() -> String {
    format!("{NAME}{}", std::process::id())
}

/// Removes groups and folders of runs that did not come to their end: their processes are gone.
fn forget_cut_off() {
    for place in ["/sys/fs/cgroup/cpuacct", "/var/tmp"] {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(NAME).and_then(|pid| pid.parse::<u32>().ok());
            if pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
                testkit::census::remove_empty_groups(&name);
                let _ = std::fs::remove_dir_all(std::path::Path::new("/var/tmp").join(&name));
            }
        }
    }
}

fn accounting_dir() -> std::path::PathBuf {
    std::path::Path::new("/sys/fs/cgroup/cpuacct").join(enclosure_name())
}

/// CPU time in nanoseconds of everything in the enclosure but this program itself.
fn enclosed_cpu() -> u64 {
    let enclosed = std::fs::read_to_string(accounting_dir().join("cpuacct.usage")).unwrap_or_default();
    let enclosed: u64 = enclosed.trim().parse().unwrap_or_default();
    enclosed.saturating_sub(ran(std::process::id()))
}

/// CPU time in nanoseconds: everything in the enclosure, and all threads of the kernel, which take namespaces, mounts and
/// cgroups apart.
pub(crate) fn machine_cpu() -> u64 {
    enclosed_cpu() + kernel_threads()
}

/// Children of the kernel's thread maker.
fn kernel_threads() -> u64 {
    let children = std::fs::read_to_string("/proc/2/task/2/children").unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(ran).sum()
}

/// Nanoseconds that the first thread of a process ran.
fn ran(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// Runs an operation once; what the kernel does for it shortly afterwards is counted as CPU, not as wall time.
pub(crate) fn once(operation: impl FnOnce() -> Result<(), String>) -> Result<Cost, String> {
    let cpu = machine_cpu();
    let start = Instant::now();
    operation()?;
    let wall = start.elapsed();
    Ok(Cost { wall: milliseconds(wall), cpu: as_milliseconds(machine_cpu().saturating_sub(cpu)) })
}

/// Median wall and CPU of several turns of two operations that alternate. What the kernel's threads do for strangers is
/// found out in turns of doing nothing, and taken off.
pub(crate) fn alternate(
    turns: usize,
    mut first: impl FnMut() -> Result<(), String>,
    mut second: impl FnMut() -> Result<(), String>,
) -> Result<(Cost, Cost), String> {
    first()?;
    second()?;
    let (mut left, mut right, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        left.push(settled(&mut first)?);
        right.push(settled(&mut second)?);
        nothing.push(settled(&mut || Ok(()))?);
    }
    let noise = median(nothing.iter().map(|turn| turn.kernel / turn.window));
    Ok((summary(&left, noise), summary(&right, noise)))
}

/// The same for operations of several steps, each measured for itself: median costs by step.
pub(crate) fn cycles(
    turns: usize,
    steps: usize,
    mut first: impl FnMut(usize) -> Outcome,
    mut second: impl FnMut(usize) -> Outcome,
) -> Result<(Vec<Cost>, Vec<Cost>), String> {
    for step in 0..steps {
        first(step)?;
    }
    for step in 0..steps {
        second(step)?;
    }
    let mut left: Vec<Vec<Turn>> = (0..steps).map(|_| Vec::new()).collect();
    let mut right: Vec<Vec<Turn>> = (0..steps).map(|_| Vec::new()).collect();
    let mut nothing = Vec::new();
    for _ in 0..turns {
        for (step, taken) in left.iter_mut().enumerate() {
            taken.push(settled(&mut || first(step))?);
        }
        for (step, taken) in right.iter_mut().enumerate() {
            taken.push(settled(&mut || second(step))?);
        }
        nothing.push(settled(&mut || Ok(()))?);
    }
    let noise = median(nothing.iter().map(|turn| turn.kernel / turn.window));
    let medians = |turns: &[Vec<Turn>]| turns.iter().map(|turns| summary(turns, noise)).collect();
    Ok((medians(&left), medians(&right)))
}

/// One turn, in milliseconds.
struct Turn {
    wall: f64,
    /// With the pause.
    window: f64,
    enclosed: f64,
    kernel: f64,
}

/// One turn with a pause behind it, so that teardown in the background is paid by the one who caused it.
fn settled(operation: &mut impl FnMut() -> Result<(), String>) -> Result<Turn, String> {
    let (enclosed, kernel) = (enclosed_cpu(), kernel_threads());
    let start = Instant::now();
    operation()?;
    let wall = milliseconds(start.elapsed());
    std::thread::sleep(Duration::from_millis(120));
    let since = |then: u64, now: u64| as_milliseconds(now.saturating_sub(then));
    Ok(Turn {
        wall,
        window: milliseconds(start.elapsed()),
        enclosed: since(enclosed, enclosed_cpu()),
        kernel: since(kernel, kernel_threads()),
    })
}

fn summary(turns: &[Turn], noise: f64) -> Cost {
    let cpu = |turn: &Turn| turn.enclosed + (turn.kernel - noise * turn.window).max(0.0);
    Cost { wall: median(turns.iter().map(|turn| turn.wall)), cpu: median(turns.iter().map(cpu)) }
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

/// Forgets the highest resident memory of processes so far.
pub(crate) fn reset_peaks(pids: &[u32]) {
    for pid in pids {
        let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// The highest resident memory of each process since then, summed, in KiB.
pub(crate) fn peak_memory(pids: &[u32]) -> f64 {
    pids.iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok())
        .filter_map(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
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
