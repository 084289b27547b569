//! The disk of the emulated machine: busybox, a few of this machine's tools, wharf's programs, its tests and what they read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::output;
use crate::{Outcome, build};

/// The test binary, below the work folder.
pub(super) const TESTS: &str = "root/wharf/e2e";
/// The machine's disk, there too: ext4, so that what an engine keeps is on a disk as everywhere.
pub(super) const DISK: &str = "disk";
/// The initial ramdisk, which only finds the disk.
pub(super) const RAMDISK: &str = "initrd";

/// Size of the disk; the file is sparse.
const DISK_SIZE: &str = "6G";

/// What the ramdisk needs of the kernel.
const DISK_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// What an engine needs of the kernel, as module names; those they depend on come along.
const ENGINE_MODULES: [&str; 24] = [
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
    "loop",
    "erofs",
    "dummy",
];

/// Programs of this machine that tests use and busybox has not or has in a smaller form; docker where there is one.
const TOOLS: [(&str, bool); 5] =
    [("tar", true), ("du", true), ("mkfs.ext4", true), ("bash", true), ("docker", false)];

/// Lays out what is the same in every machine: the folder of the disk, and the ramdisk.
pub(super) fn stage(work: &Path, modules: &Path, tests: &Path) -> Outcome {
    let root = work.join("root");
    let dirs = ["bin", "sbin", "proc", "sys", "dev", "tmp", "keep", "var/tmp", "run", "etc", "wharf", "root"];
    make(&root, &dirs)?;
    copy(&testkit::image::busybox_program(), &root.join("bin/busybox"))?;
    copy(&testkit::image::busybox_tar(), &root.join("keep/busybox.tar"))?;
    copy(tests, &work.join(TESTS))?;
    let binaries = build::target_dir()?.join("debug");
    for program in build::PROGRAMS {
        copy(&binaries.join(program), &root.join("wharf").join(program))?;
    }
    for (tool, needed) in TOOLS {
        match find_program(tool) {
            Some(path) => install(&path, &root)?,
            None if needed => return Err(format!("this machine has no {tool}")),
            None => println!("the machine gets no {tool}: there is none here"),
        }
    }
    checkout(&root)?;
    place_modules(modules, &ENGINE_MODULES, &root.join("modules"))?;
    write(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    write(&root.join("etc/group"), "root:x:0:\nusers:x:100:\n")?;
    write(&root.join("etc/resolv.conf"), "nameserver 127.0.0.53\n")?;
    write(&root.join("etc/hosts"), "127.0.0.1\tlocalhost\n")?;
    shell("chmod 755 bin/* sbin/* wharf/* && strip wharf/* 2>/dev/null; true", &root)?;
    ramdisk(work, modules)
}

/// Makes the disk of one machine from the folder and the tests to run.
pub(super) fn disk(work: &Path, arguments: &[&str]) -> Outcome {
    write(&work.join("root/story"), &STORY.replace("@ARGUMENTS@", &arguments.join(" ")))?;
    shell(&format!("rm -f {DISK} && mkfs.ext4 -q -m 0 -d root {DISK} {DISK_SIZE}"), work)
}

fn ramdisk(work: &Path, modules: &Path) -> Outcome {
    let root = work.join("ramdisk");
    make(&root, &["bin", "dev", "new"])?;
    copy(&testkit::image::busybox_program(), &root.join("bin/busybox"))?;
    place_modules(modules, &DISK_MODULES, &root.join("modules"))?;
    write(&root.join("init"), INIT)?;
    let pack = format!("chmod 755 init bin/busybox && find . | cpio -o -H newc --quiet >../{RAMDISK}");
    shell(&pack, &root)
}

/// The parts of the checkout that tests read, at the place where the test binary looks for them.
fn checkout(root: &Path) -> Outcome {
    let source = crate::root();
    let target = root.join(source.strip_prefix("/").unwrap_or(&source));
    let listed =
        output(Command::new("git").args(["ls-files", "*.rs", "tests", "docs"]).current_dir(&source))?;
    for file in listed.lines().filter(|file| source.join(file).is_file()) {
        copy(&source.join(file), &target.join(file))?;
    }
    Ok(())
}

/// Copies a program with the libraries it is linked to.
fn install(program: &Path, root: &Path) -> Outcome {
    let name = program.file_name().unwrap_or_default();
    copy(program, &root.join("sbin").join(name))?;
    // A static program has none, which ldd calls a failure.
    let Ok(linked) = output(Command::new("ldd").arg(program)) else { return Ok(()) };
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &root.join(library.trim_start_matches('/')))?;
    }
    Ok(())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(system).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Copies modules under numbers, those that others need first.
fn place_modules(modules: &Path, wanted: &[&str], to: &Path) -> Outcome {
    make(to, &[""])?;
    for (number, module) in module_files(modules, wanted)?.iter().enumerate() {
        copy(&modules.join(module), &to.join(format!("{number:03}.ko")))?;
    }
    Ok(())
}

/// The paths of the modules to load, below the module folder, those that others need first.
fn module_files(modules: &Path, wanted: &[&str]) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(modules.join("modules.dep"))
        .map_err(|error| format!("modules.dep: {error}"))?;
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for wanted in wanted {
        let file = format!("/{wanted}.ko");
        // One that is not there is part of the kernel itself.
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

fn make(root: &Path, dirs: &[&str]) -> Outcome {
    dirs.iter().try_for_each(|dir| {
        std::fs::create_dir_all(root.join(dir)).map_err(|error| format!("{dir}: {error}"))
    })
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make(to.parent().unwrap_or(to), &[""])?;
    std::fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn shell(script: &str, dir: &Path) -> Outcome {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    output(Command::new("sh").args(["-c", script]).current_dir(dir).env("PATH", path)).map(|_| ())
}

/// The first process of the machine: finds its disk.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 /dev/vda /new
/bin/busybox umount /dev
exec /bin/busybox switch_root /new /bin/busybox sh /story
"#;

/// What happens there.
const STORY: &str = r#"
export PATH=/sbin:/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
mount -t devpts devpts /dev/pts
mount -t tmpfs run /run
mkdir -p /var/tmp/wharf-cache
mount -t cgroup2 cgroup /sys/fs/cgroup
for module in /modules/*.ko; do insmod $module 2>/dev/null; done
ip link set lo up
cp -a /keep/* /var/tmp/wharf-cache/
uname -r
echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
export WHARF_BIN_DIR=/wharf WHARF_EMULATED=1 RUST_BACKTRACE=1
/wharf/e2e --test-threads=2 --show-output @ARGUMENTS@
echo "wharf-vm-exit-code: $?"
sync
poweroff -f
"#;
