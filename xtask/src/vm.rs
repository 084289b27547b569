//! `cargo xtask vm [FILTER... | --all]`: the end-to-end tests in a small emulated machine on cgroup v2.
//!
//! Debian's cloud kernel and qemu from its packages; the root is an initial ramdisk of busybox, wharf's static
//! binaries and the test binary. Nothing of systemd runs there, and nothing is left over: the machine lives in memory.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, build, packages};

const PACKAGES: &[packages::Package] = &[
    ("qemu-system-x86", &["/usr/bin/qemu-system-x86_64"]),
    ("cpio", &["/usr/bin/cpio", "/bin/cpio"]),
    ("kmod", &["/sbin/depmod", "/usr/sbin/depmod"]),
    ("busybox-static", &["/bin/busybox", "/usr/bin/busybox"]),
];

/// What an engine needs of the kernel, as module names; those they depend on come along.
const MODULES: [&str; 21] = [
    "overlay",
    "bridge",
    "br_netfilter",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_ct",
    "nft_fib_inet",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nft_compat",
    "nft_redir",
    "nft_reject_inet",
    "nft_numgen",
    "nft_hash",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "macvlan",
    "sctp",
];

/// The tests that run there when no filter is given: one of each kind, as emulation is slow.
const SMOKE: &[&str] = &["smoke::", "isolation::", "volume::"];

/// Longest time the machine may take for the tests asked for.
const DEADLINE: Duration = Duration::from_secs(900);

/// Longest time it may take for one part of all tests, with one processor and everybody else served first.
const PART_DEADLINE: Duration = Duration::from_secs(3600);

/// Tests of one part of a run of all.
const PART: usize = 24;

/// How a machine is run.
#[derive(Clone, Copy)]
struct Speed {
    processors: &'static str,
    niceness: &'static str,
    deadline: Duration,
}

/// Boots the machine, runs the tests, fails when they fail.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    packages::ensure(PACKAGES)?;
    build::cargo(&["build", "--workspace", "--bins"])?;
    let tests = test_binary()?;
    let kernel = kernel()?;
    if let Some((_, filters)) = arguments.split_first().filter(|(first, _)| *first == "--all") {
        return run_all(&kernel, &tests, filters);
    }
    let filters: Vec<&str> =
        if arguments.is_empty() { SMOKE.to_vec() } else { arguments.iter().map(String::as_str).collect() };
    let speed = Speed { processors: "2", niceness: "0", deadline: DEADLINE };
    let report = run_part(&kernel, &tests, &filters, speed)?;
    match report.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("the tests in the emulated machine failed ({code})")),
        None => Err("the emulated machine ended before the tests did".to_owned()),
    }
}

/// What one machine reported.
struct Report {
    /// Exit code of the tests; none when the machine ended before them.
    code: Option<i32>,
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
}

/// Every test, a part at a time, each in a machine of its own; what failed is said at the end by name.
fn run_all(kernel: &Kernel, tests: &Path, filters: &[String]) -> Outcome {
    let listed = output(Command::new(tests).args(["--list", "--format", "terse"]).args(filters))?;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let speed = Speed { processors: "1", niceness: "15", deadline: PART_DEADLINE };
    let (mut passed, mut bad) = (0, Vec::new());
    for part in names.chunks(PART) {
        let arguments: Vec<&str> = std::iter::once("--exact").chain(part.iter().copied()).collect();
        let start = Instant::now();
        let report = run_part(kernel, tests, &arguments, speed)?;
        passed += report.passed.len();
        for name in part.iter().filter(|name| !report.passed.contains(**name)) {
            let how = if report.failed.contains(*name) { "failed" } else { "did not end" };
            bad.push(format!("{name}: {how}"));
        }
        println!(
            "=== part of {}: {} bad so far, {:.0} s",
            part.len(),
            bad.len(),
            start.elapsed().as_secs_f64()
        );
    }
    println!("=== {passed} of {} tests passed in the emulated machine", names.len());
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
}

fn run_part(kernel: &Kernel, tests: &Path, arguments: &[&str], speed: Speed) -> Result<Report, String> {
    let work = std::env::temp_dir().join(format!("wharf-vm-{}", std::process::id()));
    let result = prepare(&work, kernel, tests, arguments).and_then(|()| boot(&work, &kernel.image, speed));
    std::fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    result
}

/// A kernel unpacked into the cache.
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

/// Unpacks Debian's newest cloud kernel; downloaded by apt when the cache has none.
fn kernel() -> Result<Kernel, String> {
    let dir = testkit::image::cache_dir().join("vm");
    let root = dir.join("kernel");
    if !root.join("boot").is_dir() {
        std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        packages::apt(&["update", "-q"])?;
        let name = output(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: ").map(str::to_owned))
            .ok_or("apt knows no linux-image-cloud-amd64")?;
        output(Command::new("apt-get").args(["download", "-q", &name]).current_dir(&dir))?;
        let package = find(&dir, ".deb")?;
        let unpacked = dir.join("unpacking");
        let _ = std::fs::remove_dir_all(&unpacked);
        output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
        std::fs::rename(&unpacked, &root).map_err(|error| error.to_string())?;
        let _ = std::fs::remove_file(package);
    }
    let image = find(&root.join("boot"), "vmlinuz")?;
    let modules_dir =
        [root.join("lib/modules"), root.join("usr/lib/modules")].into_iter().find(|path| path.is_dir());
    let modules = find(&modules_dir.ok_or("the kernel package has no modules")?, "")?;
    let version = modules.file_name().unwrap_or_default().to_owned();
    output(Command::new("depmod").arg("-b").arg(&root).arg(version))?;
    Ok(Kernel { image, modules })
}

fn find(dir: &Path, part: &str) -> Result<PathBuf, String> {
    std::fs::read_dir(dir)
        .map_err(|error| format!("{}: {error}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)))
        .ok_or_else(|| format!("nothing like {part:?} in {}", dir.display()))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Builds the end-to-end tests and asks cargo where the binary is.
fn test_binary() -> Result<PathBuf, String> {
    let text = output(
        Command::new("cargo")
            .args(["test", "--package", "e2e", "--test", "e2e", "--no-run", "--message-format=json"])
            .current_dir(crate::root()),
    )?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "e2e")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or("cargo built no e2e test binary".to_owned())
}

/// The paths of the modules to load, below the module folder, those that others need first.
fn module_files(modules: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(modules.join("modules.dep"))
        .map_err(|error| format!("modules.dep: {error}"))?;
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for wanted in MODULES {
        let file = format!("/{wanted}.ko");
        let Some((module, needs)) =
            text.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| path.ends_with(&file))
        else {
            continue;
        };
        for path in needs.split_whitespace().rev().chain([module]) {
            if seen.insert(path) {
                order.push(path.to_owned());
            }
        }
    }
    Ok(order)
}

fn prepare(work: &Path, kernel: &Kernel, tests: &Path, filters: &[&str]) -> Outcome {
    let root = work.join("root");
    for dir in
        ["bin", "proc", "sys", "dev", "tmp", "keep", "var/tmp", "run", "etc", "modules", "wharf", "root"]
    {
        std::fs::create_dir_all(root.join(dir)).map_err(|error| error.to_string())?;
    }
    let copy = |from: &Path, to: &str| {
        std::fs::copy(from, root.join(to)).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
    };
    copy(&testkit::image::busybox_program(), "bin/busybox")?;
    copy(&testkit::image::busybox_tar(), "keep/busybox.tar")?;
    copy(tests, "wharf/e2e")?;
    let binaries = build::target_dir()?.join("debug");
    for program in build::PROGRAMS {
        copy(&binaries.join(program), &format!("wharf/{program}"))?;
    }
    let order = module_files(&kernel.modules)?;
    for (number, module) in order.iter().enumerate() {
        copy(&kernel.modules.join(module), &format!("modules/{number:03}.ko"))?;
    }
    let story = STORY.replace("@FILTERS@", &filters.join(" "));
    std::fs::write(root.join("init"), INIT).map_err(|error| error.to_string())?;
    std::fs::write(root.join("story"), story).map_err(|error| error.to_string())?;
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
        .map_err(|error| error.to_string())?;
    std::fs::write(root.join("etc/group"), "root:x:0:\n").map_err(|error| error.to_string())?;
    output(
        Command::new("sh")
            .args(["-c", "chmod 755 init bin/busybox wharf/* && strip wharf/* 2>/dev/null; find . | cpio -o -H newc --quiet >../initrd"])
            .current_dir(&root),
    )
    .map(|_| ())
}

/// The first process of the machine.
const INIT: &str = r#"#!/bin/busybox sh
# A ramdisk cannot be the old root of pivot_root: move to a file system first.
mkdir -p /new
/bin/busybox mount -t tmpfs root /new
for entry in /*; do
    case $entry in /new | /proc | /sys | /dev) ;; *) /bin/busybox cp -a $entry /new/ ;; esac
done
mkdir -p /new/proc /new/sys /new/dev
exec /bin/busybox switch_root /new /bin/busybox sh /story
"#;

/// What happens there.
const STORY: &str = r#"
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs run /run
mount -t tmpfs var /var/tmp
mkdir -p /var/tmp/wharf-cache
mount -t cgroup2 cgroup /sys/fs/cgroup
for module in /modules/*.ko; do insmod $module 2>/dev/null; done
ip link set lo up
cp -a /keep/* /var/tmp/wharf-cache/
uname -r
echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
export WHARF_BIN_DIR=/wharf WHARF_EMULATED=1 RUST_BACKTRACE=1
/wharf/e2e --test-threads=2 @FILTERS@
echo "wharf-vm-exit-code: $?"
sync
poweroff -f
"#;

fn boot(work: &Path, image: &Path, speed: Speed) -> Result<Report, String> {
    let mut machine = Command::new("nice")
        .args(["-n", speed.niceness, "qemu-system-x86_64", "-m", "3072", "-smp", speed.processors])
        .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-cpu", "max"])
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(work.join("initrd"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start qemu: {error}"))?;
    let console = machine.stdout.take().ok_or("qemu has no console")?;
    let reader = std::thread::spawn(move || {
        let mut report = Report { code: None, passed: BTreeSet::new(), failed: BTreeSet::new() };
        for line in BufReader::new(console).lines().map_while(Result::ok) {
            println!("vm| {line}");
            report.hear(line.trim());
        }
        report
    });
    let start = Instant::now();
    while machine.try_wait().map_err(|error| error.to_string())?.is_none() {
        if start.elapsed() > speed.deadline {
            let _ = machine.kill();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    reader.join().map_err(|_| "the console could not be read".to_owned())
}

impl Report {
    /// Takes in one line of the console; the kernel's own messages may have got into it.
    fn hear(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("wharf-vm-exit-code: ") {
            self.code = text.trim().parse().ok();
        }
        let Some((name, end)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) else {
            return;
        };
        let name = name.trim_end_matches(" - should panic").to_owned();
        match end {
            "FAILED" => drop(self.failed.insert(name)),
            _ if end.starts_with("ok") || end.starts_with("ignored") => drop(self.passed.insert(name)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_understood() {
        let mut report = Report { code: None, passed: BTreeSet::new(), failed: BTreeSet::new() };
        for line in [
            "test a::b ... ok",
            "[   12.3] some kernel message",
            "test a::c ... FAILED",
            "test d ... ignored, long",
            "test result: FAILED. 1 passed; 1 failed",
            "test e ... ",
            "wharf-vm-exit-code: 101",
        ] {
            report.hear(line);
        }
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(report.passed, set(&["a::b", "d"]));
        assert_eq!(report.failed, set(&["a::c"]));
        assert_eq!(report.code, Some(101));
    }
}
