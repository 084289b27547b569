//! `cargo xtask vm [FILTER...]`: the end-to-end tests in a small emulated machine on cgroup v2.
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

/// Longest time the machine may take.
const DEADLINE: Duration = Duration::from_secs(900);

/// Boots the machine, runs the tests, fails when they fail.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    packages::ensure(PACKAGES)?;
    let filters: Vec<&str> =
        if arguments.is_empty() { SMOKE.to_vec() } else { arguments.iter().map(String::as_str).collect() };
    build::cargo(&["build", "--workspace", "--bins"])?;
    let tests = test_binary()?;
    let kernel = kernel()?;
    let work = std::env::temp_dir().join(format!("wharf-vm-{}", std::process::id()));
    let result = prepare(&work, &kernel, &tests, &filters).and_then(|()| boot(&work, &kernel.image));
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

fn boot(work: &Path, image: &Path) -> Outcome {
    let mut machine = Command::new("qemu-system-x86_64")
        .args([
            "-m",
            "3072",
            "-smp",
            "2",
            "-nographic",
            "-no-reboot",
            "-nodefaults",
            "-serial",
            "stdio",
            "-cpu",
            "max",
        ])
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
        let mut code = None;
        for line in BufReader::new(console).lines().map_while(Result::ok) {
            println!("vm| {line}");
            if let Some(text) = line.trim().strip_prefix("wharf-vm-exit-code: ") {
                code = text.trim().parse::<i32>().ok();
            }
        }
        code
    });
    let start = Instant::now();
    while machine.try_wait().map_err(|error| error.to_string())?.is_none() {
        if start.elapsed() > DEADLINE {
            let _ = machine.kill();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    match reader.join().ok().flatten() {
        Some(0) => Ok(()),
        Some(code) => Err(format!("the tests in the emulated machine failed ({code})")),
        None => Err("the emulated machine ended before the tests did".to_owned()),
    }
}
