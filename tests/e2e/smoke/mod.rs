//! The short story that also runs in the emulated machine on cgroup v2: one test per kind of thing.

use testkit::{Engine, census};

#[test]
fn a_container_runs_and_leaves_nothing() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello");
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "sh", "-c", "exit 3"]).code, 3);
    census::assert_returns_to(&engine, &before);
}

#[test]
fn limits_bind() {
    let engine = Engine::with_busybox();
    let v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let file = if v2 { "/sys/fs/cgroup/memory.max" } else { "/sys/fs/cgroup/memory/memory.limit_in_bytes" };
    let limited = engine.wharf(&["run", "--rm", "-m", "64m", "--pids-limit", "20", "busybox", "cat", file]);
    assert_eq!(limited.ok(), "67108864");
    let eater = engine.wharf(&[
        "run",
        "--name",
        "eater",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "x=x; while :; do x=$x$x; done",
    ]);
    assert_eq!(eater.code, 137, "{eater:?}");
    assert_eq!(engine.wharf(&["inspect", "-f", "{{.State.OOMKilled}}", "eater"]).ok(), "true");
}

#[test]
fn devices_are_denied_unless_given() {
    let engine = Engine::with_busybox();
    let denied =
        engine.wharf(&["run", "--rm", "busybox", "sh", "-c", "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg"]);
    assert!(denied.stderr.contains("Operation not permitted"), "{denied:?}");
    assert_eq!(
        engine.wharf(&["run", "--rm", "busybox", "sh", "-c", "head -c 4 /dev/zero | wc -c"]).ok(),
        "4"
    );
}

#[test]
fn a_container_pauses_and_resumes() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "clock",
            "busybox",
            "sh",
            "-c",
            "while :; do echo x; sleep 0.02; done",
        ])
        .ok();
    engine.wharf(&["pause", "clock"]).ok();
    let count = || engine.wharf(&["logs", "clock"]).stdout.lines().count();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let held = count();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(), held, "a paused container writes nothing");
    engine.wharf(&["unpause", "clock"]).ok();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(count() > held);
    engine.wharf(&["rm", "-f", "clock"]).ok();
}

#[test]
fn a_port_is_published() {
    use std::io::{Read as _, Write as _};
    let engine = Engine::with_busybox();
    let page = "mkdir /www; echo page >/www/index.html; exec httpd -f -h /www";
    engine.wharf(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sh", "-c", page]).ok();
    let address = engine.wharf(&["port", "web", "80"]).ok().to_owned();
    let deadline = std::time::Instant::now() + testkit::patience(20);
    loop {
        let mut answer = String::new();
        let asked = std::net::TcpStream::connect(&address).and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut answer)
        });
        if asked.is_ok() && answer.ends_with("page\n") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{asked:?} {answer}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    engine.wharf(&["rm", "-f", "web"]).ok();
    assert!(std::net::TcpStream::connect(&address).is_err(), "the port is free again");
}

#[test]
fn exec_joins_every_namespace() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "-h", "inner", "busybox", "sleep", "600"]).ok();
    assert_eq!(engine.wharf(&["exec", "box", "hostname"]).ok(), "inner");
    assert_eq!(engine.wharf(&["exec", "box", "sh", "-c", "exit 5"]).code, 5);
    let stats = engine.wharf(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "box"]);
    assert_eq!(stats.ok(), "box 1");
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Only where the machine is the test's own, as this uses the default places.
#[test]
fn the_engine_starts_on_demand() {
    if std::env::var_os("WHARF_EMULATED").is_none() {
        eprintln!("skipped: this machine may have an engine of its own; the emulated one runs this");
        return;
    }
    let wharf = |arguments: &[&str]| {
        let program = testkit::engine::binary_dir().join("wharf");
        testkit::engine::run(std::process::Command::new(program).args(arguments), None)
    };
    let tar = testkit::image::busybox_tar();
    wharf(&["import", "-c", "CMD [\"sh\"]", &tar.to_string_lossy(), "busybox"]).ok();
    assert_eq!(wharf(&["run", "--rm", "busybox", "echo", "on demand"]).ok(), "on demand");
    assert!(std::path::Path::new("/run/wharf.sock").exists());
}

/// The cgroups of a process, one for each hierarchy.
fn cgroups_of(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
}

fn parent_of(pid: u32) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn an_engine_that_is_stopped_leaves_no_cgroup() {
    let mut engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "busybox", "sleep", "600"]).ok();
    assert!(!census::cgroups(&engine).is_empty(), "a container and its shim have groups");
    let above = census::everywhere(&engine.slot().cgroup_parent());
    assert!(above.iter().any(|group| group.is_dir()), "they are below the engine's own");
    engine.stop_daemon();
    assert_eq!(census::cgroups(&engine), Vec::<std::path::PathBuf>::new());
    let left: Vec<_> = above.iter().filter(|group| group.is_dir()).collect();
    assert_eq!(left, Vec::<&std::path::PathBuf>::new(), "what the engine made above them goes, too");
}

/// A service manager that ends all of the engine's cgroup must not end containers.
#[test]
fn shims_have_a_cgroup_of_their_own() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    let group = format!("{}/wharf-shims", engine.slot().cgroup_parent());
    let shim_of = |name: &str| {
        engine.wharf(&["run", "-d", "--name", name, "busybox", "sleep", "600"]).ok();
        let pid = engine.wharf(&["inspect", "-f", "{{.State.Pid}}", name]).ok().parse().unwrap();
        let inside = cgroups_of(pid);
        assert!(inside.iter().all(|path| !path.contains("wharf-shims")), "{inside:?}");
        parent_of(pid)
    };
    let groups = cgroups_of(shim_of("first"));
    assert!(groups.iter().all(|path| *path == group), "{groups:?} instead of {group}");
    let own = cgroups_of(engine.daemon_pid());
    assert!(own.iter().all(|path| *path != group), "{own:?}");
    engine.wharf(&["rm", "-f", "first"]).ok();
    census::assert_returns_to(&engine, &before);
    // Somebody tidies up: the group is made anew.
    let removed = census::cgroups(&engine).into_iter().filter(|path| path.ends_with("wharf-shims"));
    assert!(removed.map(|path| std::fs::remove_dir(path).unwrap()).count() > 0);
    let groups = cgroups_of(shim_of("second"));
    assert!(groups.iter().all(|path| *path == group), "{groups:?} instead of {group}");
}
