//! Base images made from Debian packages, cached outside the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where images are kept between runs.
pub fn cache_dir() -> PathBuf {
    std::env::var_os("WHARF_CACHE").map_or_else(|| PathBuf::from("/var/tmp/wharf-cache"), PathBuf::from)
}

/// The busybox image: a root file system of one static program and links to it, as a tar.
///
/// The same tar for the same busybox package: sorted, without times of today, owned by root.
pub fn busybox_tar() -> PathBuf {
    cached("busybox.tar", |work| {
        let program = busybox_program();
        for dir in ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"] {
            std::fs::create_dir_all(work.join(dir)).expect("make a folder");
        }
        std::fs::copy(&program, work.join("bin/busybox")).expect("copy busybox");
        let list = Command::new(&program).arg("--list").output().expect("list busybox's programs");
        for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
            std::os::unix::fs::symlink("busybox", work.join("bin").join(name)).expect("link a program");
        }
        let etc = work.join("etc");
        std::fs::write(
            etc.join("passwd"),
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
        )
        .expect("write passwd");
        std::fs::write(etc.join("group"), "root:x:0:\nwheel:x:10:root\nnogroup:x:65534:\n")
            .expect("write group");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(work.join("tmp"), std::fs::Permissions::from_mode(0o1777))
            .expect("open /tmp to all");
    })
}

/// The Debian base image: `debootstrap --variant=minbase` of the machine's own mirror, as a tar.
pub fn debian_tar() -> PathBuf {
    cached("debian.tar", |work| {
        let status = Command::new("debootstrap")
            .args(["--variant=minbase", "--include=ca-certificates", "bookworm"])
            .arg(work)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("run debootstrap (Debian package debootstrap)");
        assert!(status.success(), "debootstrap failed");
        for dir in ["dev", "var/cache/apt/archives", "var/lib/apt/lists"] {
            let path = work.join(dir);
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).expect("empty a folder");
        }
    })
}

/// Copies a program that is going to be executed. Another process writes the copy: a descriptor open for writing in
/// this one could be inherited by whatever another thread starts just then, and the program be "busy" for a moment.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--").args([from, to]).status().expect("run cp");
    assert!(status.success(), "copying {} failed", from.display());
}

/// Writes a script that is going to be executed, by another process for the same reason.
pub fn write_program(path: &Path, text: &str) {
    let status = Command::new("sh")
        .args(["-c", r#"printf %s "$1" >"$2" && chmod 755 "$2""#, "sh", text])
        .arg(path)
        .status()
        .expect("run sh");
    assert!(status.success(), "writing {} failed", path.display());
}

/// The static busybox of the machine.
pub fn busybox_program() -> PathBuf {
    ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .expect("busybox (Debian package busybox-static) is installed")
}

fn cached(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let dir = cache_dir();
    std::fs::create_dir_all(&dir).expect("make the image cache");
    let target = dir.join(name);
    let lock = std::fs::File::create(dir.join(format!("{name}.lock"))).expect("open a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("lock the image cache");
    if target.is_file() {
        return target;
    }
    let work = dir.join(format!("{name}.work"));
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).expect("make a work folder");
    fill(&work);
    let unfinished = dir.join(format!("{name}.unfinished"));
    let status = Command::new("tar")
        .args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--format=gnu",
            "-C",
        ])
        .arg(&work)
        .arg("-cf")
        .arg(&unfinished)
        .arg(".")
        .status()
        .expect("run tar");
    assert!(status.success(), "tar failed");
    std::fs::rename(&unfinished, &target).expect("finish an image");
    let _ = std::fs::remove_dir_all(&work);
    target
}
