//! Tests on the machine's own hierarchies: version 1 where it has them, version 2 wherever it is mounted.

use std::os::fd::AsFd as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use oci::runtime::{BlockIo, Cpu, Memory, Pids, Resources, ThrottleDevice};

use super::{Cgroup, Error, Features, Hierarchies, Layout, default_devices};

const SOON: Duration = Duration::from_secs(5);

/// A group of a test's own that goes away with it.
struct Own {
    group: Cgroup,
    processes: Vec<Child>,
}

impl Own {
    fn new(hierarchies: &Hierarchies) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = format!("/wharf-test-{}/{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { group: hierarchies.create(&path).unwrap(), processes: Vec::new() }
    }

    fn start(&mut self, program: &str, arguments: &[&str]) -> u32 {
        let child =
            Command::new(program).args(arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.processes.push(child);
        self.group.add(pid).unwrap();
        pid
    }

    /// A process that enters by writing to the `tasks` files itself, as a container's first process does.
    fn enter(&mut self, script: &str) -> u32 {
        let paths: Vec<String> =
            self.group.legacy.iter().map(|legacy| format!("{}/tasks", legacy.directory.path)).collect();
        let mut command = String::new();
        for path in paths {
            command.push_str(&format!("echo 0 > {path} && "));
        }
        if let Some(unified) = &self.group.unified {
            command.push_str(&format!("echo 0 > {}/cgroup.procs && ", unified.path));
        }
        let child = Command::new("sh").args(["-c", &format!("{command} {script}")]).spawn().unwrap();
        let pid = child.id();
        self.processes.push(child);
        pid
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.group.thaw(SOON);
        let _ = self.group.signal(libc::SIGKILL);
        for child in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.group.remove(SOON);
        let parent = self.group.path().rsplit_once('/').map(|(parent, _)| parent.to_owned());
        // The parent is shared by the tests of this process: whoever is last removes it.
        if let Some(group) = parent.and_then(|parent| Hierarchies::detect().ok()?.open(&parent).ok()) {
            let _ = group.remove_if_childless();
        }
    }
}

impl Cgroup {
    fn remove_if_childless(&self) -> Result<(), rustix::io::Errno> {
        for (parent, name) in &self.parents {
            rustix::fs::unlinkat(parent, name.as_str(), rustix::fs::AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }
}

fn machine() -> Hierarchies {
    Hierarchies::detect().unwrap()
}

/// The version 2 hierarchy alone, also where version 1 governs.
fn version_2() -> Option<Hierarchies> {
    let all = machine();
    let mount = all.mounts().iter().find(|mount| mount.unified)?;
    Hierarchies::unified_at(&mount.point).ok()
}

fn read(group: &Cgroup, controller: &str, file: &str) -> Option<String> {
    group.directory(controller)?.text(file).map(|text| text.trim().to_owned())
}

#[test]
fn limits_are_what_was_asked_for() {
    let hierarchies = machine();
    let own = Own::new(&hierarchies);
    let features = Features::detect(&hierarchies);
    let resources = Resources {
        cpu: Some(Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: "0".into(),
            mems: "0".into(),
            ..Cpu::default()
        }),
        memory: Some(Memory {
            limit: Some(64 << 20),
            swap: Some(128 << 20),
            reservation: Some(32 << 20),
            ..Memory::default()
        }),
        pids: Some(Pids { limit: 100 }),
        ..Resources::default()
    };
    features.check(&resources).unwrap();
    own.group.apply(&resources).unwrap();
    let rows = match hierarchies.layout() {
        Layout::Unified => vec![
            ("cpu", "cpu.max", "50000 100000"),
            ("memory", "memory.max", "67108864"),
            ("memory", "memory.low", "33554432"),
            ("pids", "pids.max", "100"),
        ],
        _ => vec![
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "100000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.memsw.limit_in_bytes", "134217728"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("pids", "pids.max", "100"),
        ],
    };
    for (controller, file, expected) in rows {
        assert_eq!(read(&own.group, controller, file).as_deref(), Some(expected), "{file}");
    }
}

#[test]
fn updates_move_in_both_directions() {
    let own = Own::new(&machine());
    let memory = |limit: i64, swap: i64| Resources {
        memory: Some(Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() }),
        ..Resources::default()
    };
    let cpu = |quota: i64, period: u64| Resources {
        cpu: Some(Cpu { quota: Some(quota), period: Some(period), ..Cpu::default() }),
        ..Resources::default()
    };
    for (limit, swap) in
        [(64 << 20, 64 << 20), (256 << 20, 512 << 20), (32 << 20, 48 << 20), (-1, -1), (16 << 20, 16 << 20)]
    {
        own.group.apply(&memory(limit, swap)).unwrap_or_else(|error| panic!("{limit} {swap}: {error:?}"));
    }
    for (quota, period) in [(2000, 1000), (900_000, 1_000_000), (1000, 1000), (-1, 100_000), (10_000, 50_000)]
    {
        own.group.apply(&cpu(quota, period)).unwrap_or_else(|error| panic!("{quota} {period}: {error:?}"));
    }
}

#[test]
fn a_missing_controller_is_named() {
    let Some(hierarchies) = version_2() else { return };
    if hierarchies.controllers().contains(&"memory") {
        return;
    }
    let own = Own::new(&hierarchies);
    let resources = Resources { pids: Some(Pids { limit: 5 }), ..Resources::default() };
    let error = own.group.apply(&resources).unwrap_err();
    assert!(matches!(error, Error::Controller { controller: "pids", .. }), "{error:?}");
}

#[test]
fn block_rates_name_their_device() {
    let hierarchies = machine();
    if !Features::detect(&hierarchies).block_throttle {
        return;
    }
    let Some(device) = some_disk() else { return };
    let own = Own::new(&hierarchies);
    let rate = ThrottleDevice { major: device.0, minor: device.1, rate: 1 << 20 };
    let block = BlockIo { throttle_read_bps_device: vec![rate], ..BlockIo::default() };
    own.group.apply(&Resources { block_io: Some(block), ..Resources::default() }).unwrap();
    let line = read(&own.group, "blkio", "blkio.throttle.read_bps_device")
        .or(read(&own.group, "io", "io.max"))
        .unwrap();
    assert!(line.starts_with(&format!("{}:{}", device.0, device.1)), "{line}");
}

/// A whole disk of this machine.
fn some_disk() -> Option<(i64, i64)> {
    let entries = std::fs::read_dir("/sys/block").ok()?.flatten();
    let numbers = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("dev")).ok());
    numbers
        .filter_map(|text| {
            let (major, minor) = text.trim().split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .next()
}

#[test]
fn processes_enter_freeze_and_die() {
    for hierarchies in [Some(machine()), version_2()].into_iter().flatten() {
        let mut own = Own::new(&hierarchies);
        assert!(own.group.is_empty().unwrap());
        let first = own.start("sleep", &["100"]);
        let second = own.enter("exec sleep 100");
        let begun = Instant::now();
        while own.group.pids().unwrap().len() < 2 {
            assert!(begun.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut expected = vec![first, second];
        expected.sort_unstable();
        assert_eq!(own.group.pids().unwrap(), expected);

        assert!(!own.group.is_frozen());
        own.group.freeze(SOON).unwrap();
        assert!(own.group.is_frozen());
        own.group.thaw(SOON).unwrap();
        assert!(!own.group.is_frozen());

        // Also a frozen group dies.
        own.group.freeze(SOON).unwrap();
        let group = &own.group;
        let processes = &mut own.processes;
        std::thread::scope(|scope| {
            scope.spawn(|| processes.iter_mut().for_each(|child| drop(child.wait())));
            group.kill_all(SOON).unwrap();
        });
        assert!(own.group.is_empty().unwrap());
    }
}

#[test]
fn a_fork_bomb_is_killed() {
    let mut own = Own::new(&machine());
    own.group.apply(&Resources { pids: Some(Pids { limit: 64 }), ..Resources::default() }).unwrap();
    own.enter("while :; do (sleep 3 & ) 2>/dev/null; done 2>/dev/null");
    std::thread::sleep(Duration::from_millis(150));
    let group = &own.group;
    let processes = &mut own.processes;
    std::thread::scope(|scope| {
        scope.spawn(|| processes.iter_mut().for_each(|child| drop(child.wait())));
        group.kill_all(SOON).unwrap();
    });
}

#[test]
fn removal_takes_groups_below_along() {
    let hierarchies = machine();
    let own = Own::new(&hierarchies);
    let below = hierarchies.create(&format!("{}/a/b", own.group.path())).unwrap();
    drop(below);
    own.group.remove(SOON).unwrap();
    assert!(matches!(hierarchies.open(own.group.path()), Err(Error::Absent { .. })));
    own.group.remove(SOON).unwrap();
}

#[test]
fn a_busy_group_is_not_removed_and_says_so() {
    let hierarchies = machine();
    let mut own = Own::new(&hierarchies);
    own.start("sleep", &["100"]);
    let error = own.group.remove(Duration::from_millis(30)).unwrap_err();
    assert!(matches!(error, Error::Remove { .. }), "{error:?}");
}

#[test]
fn the_group_of_a_process_is_found() {
    let hierarchies = machine();
    let mut own = Own::new(&hierarchies);
    let pid = own.start("sleep", &["100"]);
    let found = hierarchies.of_process(pid).unwrap();
    assert_eq!(found.pids().unwrap(), [pid]);
    assert!(hierarchies.of_process(std::process::id()).is_ok());
}

#[test]
fn work_shows_in_the_statistics() {
    let mut own = Own::new(&machine());
    own.enter("x=$(head -c 9000000 /dev/zero | tr '\\0' a); i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 100; echo $x");
    let begun = Instant::now();
    let sample = loop {
        let sample = own.group.statistics();
        if sample.cpu.total > 10_000_000 && sample.pids.is_some_and(|pids| pids.current == 2) {
            break sample;
        }
        assert!(begun.elapsed() < SOON, "{sample:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let memory = sample.memory.unwrap();
    assert!(memory.usage > 0 && memory.limit > 1 << 40, "{memory:?}");
    assert!(memory.stats.iter().any(|(key, _)| key == "inactive_file" || key == "total_inactive_file"));
    if machine().layout() != Layout::Unified {
        assert!(!sample.cpu.per_cpu.is_empty());
    }
}

#[test]
fn running_out_of_memory_is_told() {
    let mut own = Own::new(&machine());
    let memory = Memory { limit: Some(8 << 20), swap: Some(8 << 20), ..Memory::default() };
    own.group.apply(&Resources { memory: Some(memory), ..Resources::default() }).unwrap();
    let watch = own.group.watch_oom().unwrap().unwrap();
    own.enter("exec tail /dev/zero");
    let begun = Instant::now();
    loop {
        let mut polled = [rustix::event::PollFd::from_borrowed_fd(watch.as_fd(), watch.interest())];
        let patience = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut polled, Some(&patience)).unwrap(), 1);
        // Reaching the limit is told too; only running out counts.
        if watch.acknowledge(&own.group) {
            break;
        }
        assert!(begun.elapsed() < SOON);
    }
    let status = own.processes[0].wait().unwrap();
    assert!(!status.success());
    assert!(own.group.oom_kills() >= 1);
}

#[test]
fn removal_is_no_running_out_of_memory() {
    let own = Own::new(&machine());
    let Some(watch) = own.group.watch_oom().unwrap() else { return };
    own.group.remove(SOON).unwrap();
    assert!(!watch.acknowledge(&own.group));
}

#[test]
fn device_rules_hold() {
    let hierarchies = machine();
    let layouts = [Some(hierarchies), version_2()];
    for hierarchies in layouts.into_iter().flatten() {
        let mut own = Own::new(&hierarchies);
        own.group.apply(&Resources { devices: default_devices(), ..Resources::default() }).unwrap();
        let place = std::env::temp_dir().join(format!(
            "wharf-devices-{}-{:?}",
            std::process::id(),
            hierarchies.layout()
        ));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir(&place).unwrap();
        let node = place.join("loop0");
        let script = format!(
            "head -c1 /dev/zero >/dev/null || exit 10; mknod {0} b 7 0 || exit 11; true < {0} 2>/dev/null && exit 12; true </dev/kmsg 2>/dev/null && exit 13; exit 0",
            node.display()
        );
        own.enter(&script);
        let status = own.processes[0].wait().unwrap();
        let _ = std::fs::remove_dir_all(&place);
        assert_eq!(status.code(), Some(0), "{:?}", hierarchies.layout());
        // New rules replace the old ones.
        let all = oci::runtime::DeviceCgroup { allow: true, ..Default::default() };
        own.group.apply(&Resources { devices: vec![all], ..Resources::default() }).unwrap();
        own.enter("true </dev/kmsg");
        assert_eq!(own.processes[1].wait().unwrap().code(), Some(0), "{:?}", hierarchies.layout());
    }
}

#[test]
fn values_that_make_no_sense_are_refused_before_the_kernel_sees_them() {
    let own = Own::new(&machine());
    let cpus = |cpus: &str| Resources {
        cpu: Some(Cpu { cpus: cpus.into(), ..Cpu::default() }),
        ..Resources::default()
    };
    for bad in ["0-4294967295", "-1", "NaN", "0\n1", "1-0"] {
        let error = own.group.apply(&cpus(bad)).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{bad:?}: {error:?}");
    }
    let memory = Memory { limit: Some(-7), ..Memory::default() };
    let error = own.group.apply(&Resources { memory: Some(memory), ..Resources::default() }).unwrap_err();
    assert!(matches!(error, Error::Value { .. }), "{error:?}");
}

#[test]
fn features_of_this_machine() {
    let hierarchies = machine();
    let features = Features::detect(&hierarchies);
    assert!(features.devices || hierarchies.layout() != Layout::Unified);
    if features.cpuset {
        assert!(super::features::parse_list(&features.cpus).is_some_and(|cpus| cpus.contains(&0)));
    }
}
