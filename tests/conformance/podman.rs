//! Podman drives our runtime: run, exec, stop, rm.

use std::path::{Path, PathBuf};
use std::process::Command;

use conformance::runtime::{is_wharf, program};

fn reference_root() -> Option<PathBuf> {
    let root = std::env::var_os("REFERENCE_ROOT")
        .map_or_else(|| PathBuf::from("/var/tmp/docker-reference"), PathBuf::from);
    root.join("usr/bin/podman").exists().then_some(root)
}

/// Runs a command with the reference root as its root, with a /dev/pts and cgroups as podman wants them.
fn inside(root: &Path, command: &str) -> std::process::Output {
    let script = format!(
        "set -e; mount --rbind {0} {0}; cd {0}; mkdir -p .old; mountpoint -q proc || mount -t proc proc proc; \
         mountpoint -q sys || mount --rbind /sys sys; mountpoint -q dev || mount --rbind /dev dev; \
         pivot_root . .old; cd /; umount -l /.old; exec sh -c \"$1\"",
        root.display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "bash", "-c", &script, "inside", command]);
    unshare.output().expect("run unshare")
}

#[test]
fn podman_runs_executes_stops_and_removes() {
    let Some(root) = reference_root() else {
        println!("passed over: no reference root (/work/shared/tools/reference-engine setup)");
        return;
    };
    if !is_wharf() {
        println!("passed over: for our own runtime only");
        return;
    }
    let place = format!("/var/tmp/wharf-podman-{}", std::process::id());
    let host = root.join(place.trim_start_matches('/'));
    std::fs::create_dir_all(host.join("image/bin")).expect("make a directory");
    testkit::image::copy_program(&program(), &host.join("wharf-runtime"));
    testkit::image::copy_program(&testkit::image::busybox_program(), &host.join("image/bin/busybox"));
    for name in ["sh", "sleep", "echo", "cat", "id", "hostname", "grep"] {
        let _ = std::os::unix::fs::symlink("busybox", host.join("image/bin").join(name));
    }
    let podman = format!(
        "podman --root {place}/root --runroot {place}/run --tmpdir {place}/tmp --storage-driver vfs --cgroup-manager cgroupfs \
         --runtime {place}/wharf-runtime --events-backend file"
    );
    let name = format!("wharf-podman-{}", std::process::id());
    let step = |what: &str| {
        let output = inside(&root, &format!("{podman} {what}"));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), out.trim_end().to_owned(), err.into_owned())
    };
    let check = |what: &str, expected: &str| {
        let (good, out, err) = step(what);
        assert!(good && out.ends_with(expected), "podman {what}: {out:?} {err}");
    };
    let checks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let output =
            inside(&root, &format!("tar -C {place}/image -c . | {podman} import - localhost/bb:latest"));
        assert!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
        check("run --rm --network none localhost/bb:latest /bin/echo hello", "hello");
        check("run --rm --network none --user 1000 localhost/bb:latest /bin/sh -c 'id -u; exit 0'", "1000");
        let (good, _, _) = step("run --rm --network none localhost/bb:latest /bin/sh -c 'exit 3'");
        assert!(!good);
        check(
            &format!(
                "run -d --name {name} --network none --memory 64m --pids-limit 50 localhost/bb:latest /bin/sleep 1000 >/dev/null; echo up"
            ),
            "up",
        );
        check(&format!("exec {name} /bin/echo from exec"), "from exec");
        check(&format!("exec -w /bin -e A=b {name} /bin/sh -c 'echo $A $PWD'"), "b /bin");
        check(
            &format!("pause {name} >/dev/null; {podman} inspect -f '{{{{.State.Status}}}}' {name}"),
            "paused",
        );
        check(
            &format!("unpause {name} >/dev/null; {podman} inspect -f '{{{{.State.Status}}}}' {name}"),
            "running",
        );
        check(&format!("stop -t 1 {name}"), &name);
        check(&format!("rm {name}"), &name);
        check("ps -aq", "");
    }));
    let _ = step(&format!("rm -f -t 0 {name}"));
    let _ = std::fs::remove_dir_all(&host);
    if let Err(panic) = checks {
        std::panic::resume_unwind(panic);
    }
}
