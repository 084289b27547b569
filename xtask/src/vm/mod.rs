//! `cargo xtask vm [FILTER... | --all]`: the end-to-end tests in a small emulated machine on cgroup v2.
//!
//! Debian's cloud kernel and qemu from its packages; [`root`] says what is on the machine's disk. Nothing of systemd runs
//! there, and nothing is left over: the disk is a file that goes with the machine.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, build, packages};

mod root;

const PACKAGES: &[packages::Package] = &[
    ("qemu-system-x86", &["/usr/bin/qemu-system-x86_64"]),
    ("cpio", &["/usr/bin/cpio", "/bin/cpio"]),
    ("kmod", &["/sbin/depmod", "/usr/sbin/depmod"]),
    ("busybox-static", &["/bin/busybox", "/usr/bin/busybox"]),
    ("e2fsprogs", &["/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"]),
    ("tar", &["/bin/tar", "/usr/bin/tar"]),
];

/// The tests that run there when no filter is given: one of each kind, as emulation is slow.
const SMOKE: &[&str] = &["smoke::", "isolation::", "volume::"];

/// Longest time the machine may take for the tests asked for.
const DEADLINE: Duration = Duration::from_secs(900);

/// Longest time it may take for one part of all tests, with one processor.
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
    let kernel = kernel()?;
    let work = std::env::temp_dir().join(format!("wharf-vm-{}", std::process::id()));
    let result = root::stage(&work, &kernel.modules, &test_binary()?).and_then(|()| {
        match arguments.split_first().filter(|(first, _)| *first == "--all") {
            Some((_, filters)) => run_all(&kernel, &work, filters),
            None => run_some(&kernel, &work, arguments),
        }
    });
    std::fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    result
}

fn run_some(kernel: &Kernel, work: &Path, arguments: &[String]) -> Outcome {
    let filters: Vec<&str> =
        if arguments.is_empty() { SMOKE.to_vec() } else { arguments.iter().map(String::as_str).collect() };
    let speed = Speed { processors: "2", niceness: "0", deadline: DEADLINE };
    let report = run_part(kernel, work, &filters, speed)?;
    match report.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("the tests in the emulated machine failed ({code})")),
        None => Err("the emulated machine ended before the tests did".to_owned()),
    }
}

/// What one machine reported.
#[derive(Default)]
struct Report {
    /// Exit code of the tests; none when the machine ended before them.
    code: Option<i32>,
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// Why some of those that passed did nothing.
    skipped: BTreeSet<String>,
}

/// Every test, a part at a time, each in a machine of its own; what failed is said at the end by name.
fn run_all(kernel: &Kernel, work: &Path, filters: &[String]) -> Outcome {
    let listed =
        output(Command::new(work.join(root::TESTS)).args(["--list", "--format", "terse"]).args(filters))?;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let speed = Speed { processors: "1", niceness: "5", deadline: PART_DEADLINE };
    let (mut passed, mut bad, mut skipped) = (0, Vec::new(), BTreeSet::new());
    for part in names.chunks(PART) {
        let arguments: Vec<&str> = std::iter::once("--exact").chain(part.iter().copied()).collect();
        let start = Instant::now();
        let report = run_part(kernel, work, &arguments, speed)?;
        passed += report.passed.len();
        skipped.extend(report.skipped);
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
    skipped.iter().for_each(|why| println!("=== {why}"));
    println!("=== {passed} of {} tests passed in the emulated machine", names.len());
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
}

fn run_part(kernel: &Kernel, work: &Path, arguments: &[&str], speed: Speed) -> Result<Report, String> {
    root::disk(work, arguments)?;
    boot(work, &kernel.image, speed)
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

/// The standard output of a command that has to succeed.
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

fn boot(work: &Path, image: &Path, speed: Speed) -> Result<Report, String> {
    let mut machine = Command::new("nice")
        .args(["-n", speed.niceness, "qemu-system-x86_64", "-m", "2048", "-smp", speed.processors])
        .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-cpu", "max"])
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .arg("-drive")
        .arg(format!("file={},format=raw,if=virtio,cache=unsafe", work.join(root::DISK).display()))
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(work.join(root::RAMDISK))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start qemu: {error}"))?;
    let console = machine.stdout.take().ok_or("qemu has no console")?;
    let reader = std::thread::spawn(move || {
        let mut report = Report::default();
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
        if line.starts_with("skipped: ") {
            self.skipped.insert(line.to_owned());
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
        let mut report = Report::default();
        for line in [
            "test a::b ... ok",
            "[   12.3] some kernel message",
            "test a::c ... FAILED",
            "test d ... ignored, long",
            "test result: FAILED. 1 passed; 1 failed",
            "test e ... ",
            "skipped: this machine has no docker command",
            "wharf-vm-exit-code: 101",
        ] {
            report.hear(line);
        }
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(report.passed, set(&["a::b", "d"]));
        assert_eq!(report.failed, set(&["a::c"]));
        assert_eq!(report.skipped, set(&["skipped: this machine has no docker command"]));
        assert_eq!(report.code, Some(101));
    }
}
