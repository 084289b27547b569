//! Programs that attack from inside: tests of this very binary, ignored outside, run in containers by name.
//!
//! The test binary is static, so it runs in any root file system; [`command`] bind-mounts it and names the attack.

use testkit::{Engine, Output};

/// Runs an attack in a container; the options go before the image.
pub(super) fn command(engine: &Engine, attack: &str, options: &[&str]) -> Output {
    let own = std::env::current_exe().expect("know the test's own path");
    let bind = format!("{}:/attacker:ro", own.display());
    let name = format!("security::attacker::{attack}");
    let mut words = vec!["run", "--rm", "-v", &bind];
    words.extend(options);
    words.extend(["busybox", "/attacker", "--exact", &name, "--ignored", "--nocapture", "--test-threads=1"]);
    engine.wharf(&words)
}

/// Tries to open every program it can see for writing, its own and those of others.
#[test]
#[ignore = "runs inside a container"]
fn reopen_programs() {
    for _ in 0..200 {
        for entry in std::fs::read_dir("/proc").expect("list processes").flatten() {
            let path = entry.path().join("exe");
            if entry.file_name().to_string_lossy().parse::<u32>().is_err() {
                continue;
            }
            let target = std::fs::read_link(&path).unwrap_or_default();
            let opened = std::fs::OpenOptions::new().append(true).open(&path);
            if opened.is_ok() && !target.starts_with("/tmp") {
                println!("BROKEN: {} is open for writing", target.display());
            }
        }
    }
    println!("attack over");
}

/// Lists what descriptors the process was given.
#[test]
#[ignore = "runs inside a container"]
fn list_descriptors() {
    for entry in std::fs::read_dir("/proc/1/fd").expect("list descriptors").flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        println!("fd {} {}", entry.file_name().to_string_lossy(), target.display());
    }
}

/// Opens everything below /proc and /sys that it may, for writing, and says what opened.
#[test]
#[ignore = "runs inside a container"]
fn open_kernel_files() {
    let mut open = vec![std::path::PathBuf::from("/proc"), std::path::PathBuf::from("/sys")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let text = path.to_string_lossy().into_owned();
            let own_process = text.starts_with("/proc/self") || text.starts_with("/proc/thread-self");
            let a_process = text
                .strip_prefix("/proc/")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if own_process || a_process {
                continue;
            }
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                open.push(path);
            } else if is_writable_file(&path) && std::fs::OpenOptions::new().write(true).open(&path).is_ok() {
                println!("writable {text}");
            }
        }
    }
}

/// A regular file whose mode lets somebody write; files without that refuse in the kernel whoever opens them.
fn is_writable_file(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o222 != 0)
}

/// Tries to write every control group file it sees, and to make a group.
#[test]
#[ignore = "runs inside a container"]
fn change_cgroups() {
    let mut open = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        if std::fs::create_dir(dir.join("escape")).is_ok() {
            println!("BROKEN: made a group in {}", dir.display());
        }
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            } else if std::fs::OpenOptions::new().write(true).open(entry.path()).is_ok() {
                println!("BROKEN: {} opens for writing", entry.path().display());
            }
        }
    }
    println!("attack over");
}

/// Lists abstract sockets, which are shared by all of a network namespace.
#[test]
#[ignore = "runs inside a container"]
fn list_abstract_sockets() {
    let text = std::fs::read_to_string("/proc/net/unix").expect("read the sockets");
    for line in text.lines().filter(|line| line.contains(" @")) {
        println!("abstract {line}");
    }
    println!("attack over");
}
