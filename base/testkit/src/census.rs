//! What one engine has on the machine: mounts, cgroups, links, firewall tables, processes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Engine;

/// Network sandboxes an engine may keep ready.
const POOL: usize = 4;

/// The things found, each as one readable line, sorted.
pub type Census = BTreeSet<String>;

/// Everything that belongs to this engine's containers; the engine's own process, bridge and table are not counted.
pub fn of(engine: &Engine) -> Census {
    let mut found = Census::new();
    let root = engine.root().to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().filter(|line| line.contains(&root)).map(|line| format!("mount {line}")));
    found.extend(cgroups(engine).into_iter().map(|path| format!("cgroup {}", path.display())));
    // The engine keeps some sandboxes ready; their names say nothing, so only those beyond the pool are counted.
    let ports = bridge_ports(&engine.slot().bridge());
    found.extend((POOL..ports.len()).map(|number| format!("link number {}", number - POOL)));
    found.extend(processes(&root).into_iter().map(|(pid, command)| format!("process {pid} {command}")));
    found.extend(container_files(engine));
    found
}

/// Waits until the engine has nothing more on the machine than before, for things the kernel removes in its own time.
#[track_caller]
pub fn assert_returns_to(engine: &Engine, before: &Census) {
    let deadline = std::time::Instant::now() + crate::patience(10);
    loop {
        let now = of(engine);
        let left: Vec<&String> = now.difference(before).collect();
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The cgroup folders below the engine's parent, in every hierarchy; the parents themselves are not counted.
pub fn cgroups(engine: &Engine) -> Vec<PathBuf> {
    parents(engine).iter().flat_map(|parent| children(parent)).filter(|path| path.is_dir()).collect()
}

/// Whether this machine has cgroup v2 and nothing else.
pub fn is_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The engine's parent group in every hierarchy.
fn parents(engine: &Engine) -> Vec<PathBuf> {
    everywhere(&engine.slot().cgroup_parent())
}

/// A group in every hierarchy: on cgroup v2 the mount point is the only one, on v1 each folder there is one.
pub fn everywhere(path: &str) -> Vec<PathBuf> {
    let mount = Path::new("/sys/fs/cgroup");
    let hierarchies = if is_cgroup_v2() { vec![mount.to_owned()] } else { children(mount) };
    hierarchies.iter().map(|hierarchy| hierarchy.join(path.trim_start_matches('/'))).collect()
}

/// Removes a group and those below it from every hierarchy, as far as nobody is in them.
pub fn remove_empty_groups(path: &str) {
    fn remove(group: &Path) {
        children(group).iter().filter(|child| child.is_dir()).for_each(|child| remove(child));
        let _ = std::fs::remove_dir(group);
    }
    everywhere(path).iter().for_each(|group| remove(group));
}

fn children(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn bridge_ports(bridge: &str) -> Vec<String> {
    children(&PathBuf::from(format!("/sys/class/net/{bridge}/brif")))
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Shims whose command line or open socket names this engine's folder.
fn processes(root: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for dir in children(Path::new("/proc")) {
        let Some(pid) = dir.file_name().and_then(|name| name.to_string_lossy().parse::<u32>().ok()) else {
            continue;
        };
        let line = std::fs::read(dir.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
        if command.contains(root) && command.contains("shim") {
            found.push((pid, command));
        }
    }
    found
}

/// Per-container folders in the roots.
fn container_files(engine: &Engine) -> Vec<String> {
    let mut found = Vec::new();
    for root in [engine.exec_root(), engine.data_root()] {
        for path in children(&root.join("containers")) {
            found.push(format!("folder {}", path.display()));
        }
    }
    found
}

/// Removes what an engine that was killed may have left, so that one failed test does not disturb the next.
pub(crate) fn sweep(engine: &Engine) {
    for (pid, _) in processes(&engine.root().to_string_lossy()) {
        crate::engine::signal(pid, rustix::process::Signal::KILL);
    }
    let parents = parents(engine);
    for group in parents.iter().flat_map(|parent| children(parent)).chain(parents.iter().cloned()) {
        for line in std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
            if let Ok(pid) = line.parse() {
                crate::engine::signal(pid, rustix::process::Signal::KILL);
            }
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(5));
    remove_empty_groups(&engine.slot().cgroup_parent());
    let bridge = engine.slot().bridge();
    if Path::new("/sys/class/net").join(&bridge).exists() {
        let _ = std::process::Command::new("ip").args(["link", "delete", &bridge]).output();
    }
}
