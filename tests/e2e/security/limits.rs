//! Rows 7, 24, 29, 30: sizes from outside, containers side by side, slow leaks, impossible limits.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::json;
use testkit::{Engine, http};

fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read the engine's status");
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .expect("a size")
}

fn count(dir: &str) -> usize {
    std::fs::read_dir(dir).expect("list").count()
}

/// Row 7: a huge body is refused without being kept.
#[test]
fn row_07_bodies_have_a_limit() {
    let engine = Engine::with_busybox();
    let before = resident_kib(engine.daemon_pid());
    let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
    let head = "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("send the head");
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(resident_kib(engine.daemon_pid()) < before + 64 * 1024, "the engine kept the body");
    let deep = format!("{{\"Image\":\"busybox\",\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let headers = [("Content-Type", "application/json")];
    let status =
        http::request(&engine.socket_path(), "POST", "/containers/create", &headers, deep.as_bytes())
            .expect("an answer")
            .status;
    assert_eq!(status, 400);
    assert_eq!(http::get(&engine.socket_path(), "/_ping").expect("ping").status, 200);
}

/// Row 7: bad documents get an answer, and the engine lives.
#[test]
fn row_07_nonsense_never_stops_the_engine() {
    let engine = Engine::with_busybox();
    let pid = engine.daemon_pid();
    let bodies = [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{\"Image\":",
        "{\"Image\":null}",
        "{\"Cmd\":{}}",
        "{\"HostConfig\":[]}",
        "{\"Image\":\"busybox\",\"HostConfig\":{\"Memory\":1e400}}",
        "{\"Image\":\"busybox\",\"Env\":[1]}",
        "{\"Image\":\"busybox\",\"HostConfig\":{\"PortBindings\":{\"99999999999/tcp\":[]}}}",
        "\u{0}",
        "{\"a\":\"\\ud800\"}",
    ];
    for target in [
        "/containers/create",
        "/volumes/create",
        "/networks/create",
        "/containers/x/exec",
        "/commit?container=x",
        "/auth",
    ] {
        for body in bodies {
            let headers = [("Content-Type", "application/json")];
            let answer = http::request(&engine.socket_path(), "POST", target, &headers, body.as_bytes())
                .expect("an answer");
            assert!(answer.status >= 200 && answer.status < 600, "{target} {body}");
        }
    }
    assert_eq!(engine.daemon_pid(), pid);
    assert!(!engine.log().contains("panicked"), "{}", engine.log());
}

/// Row 24: containers made at the same time share nothing.
#[test]
fn row_24_parallel_containers_do_not_mix() {
    let engine = Engine::with_busybox();
    let socket = engine.socket_path();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let socket = &socket;
                scope.spawn(move || {
                    (0..125)
                        .filter_map(|number| {
                            let own = format!("OWN={client}-{number}");
                            let body = json!({"Image": "busybox", "Env": [own], "Labels": {"own": own}, "Cmd": ["echo", own]});
                            let id = http::post(socket, "/containers/create", &body).ok()?.json()["Id"].as_str()?.to_owned();
                            let seen = http::get(socket, &format!("/containers/{id}/json")).ok()?.json();
                            let right = seen["Config"]["Env"][0] == own && seen["Config"]["Labels"]["own"] == own && seen["Args"][0] == own;
                            (!right).then(|| seen.to_string())
                        })
                        .collect::<Vec<String>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok().lines().count(), 1000);
}

/// What a process holds: memory in KiB, descriptors, threads.
fn figures(pid: u32) -> (u64, usize, usize) {
    (resident_kib(pid), count(&format!("/proc/{pid}/fd")), count(&format!("/proc/{pid}/task")))
}

#[track_caller]
fn assert_flat(who: &str, before: (u64, usize, usize), after: (u64, usize, usize), growth_kib: u64) {
    eprintln!("{who}: {before:?} before, {after:?} after");
    assert!(after.0 < before.0 + growth_kib, "{who}: memory grew from {} to {} KiB", before.0, after.0);
    assert!(after.1 <= before.1 + 4, "{who}: descriptors grew from {} to {}", before.1, after.1);
    assert!(after.2 <= before.2 + 4, "{who}: threads grew from {} to {}", before.2, after.2);
}

fn start_exec(engine: &Engine, command: &[&str]) -> UnixStream {
    let body = json!({"Cmd": command, "AttachStdout": true});
    let exec = http::post(&engine.socket_path(), "/containers/box/exec", &body).expect("make an exec").json();
    let id = exec["Id"].as_str().expect("an id");
    let mut stream = UnixStream::connect(engine.socket_path()).expect("connect");
    let request = format!(
        "POST /exec/{id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let _ = stream.write_all(request.as_bytes());
    stream
}

/// Row 29: execs that leave children behind, and clients that go away, cost nothing in the long run.
#[test]
fn row_29_execs_do_not_leak() {
    execs_leave_children(300);
}

#[test]
#[ignore = "the long form: cargo xtask long"]
fn long_form_row_29_execs() {
    execs_leave_children(10_000);
}

/// Ended execs an engine remembers.
const MOST_REMEMBERED: usize = 1024;

fn execs_leave_children(execs: usize) {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "3600"]).ok();
    let shim = shim_of(&engine, "box");
    let pid = engine.daemon_pid();
    let turn = || {
        // One whose client waits for its end, and one whose client goes away without reading.
        let mut stream = start_exec(&engine, &["sh", "-c", "sleep 2 >/dev/null 2>&1 & true"]);
        stream.shutdown(std::net::Shutdown::Write).expect("end the input");
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
        drop(start_exec(&engine, &["true"]));
    };
    // The short form has not come to the number of ended execs that are remembered; the long one fills that first.
    for _ in 0..if execs > MOST_REMEMBERED { MOST_REMEMBERED } else { 50 } {
        turn();
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    let before = (figures(pid), figures(shim));
    for _ in 0..execs / 2 {
        turn();
    }
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_flat("engine", before.0, figures(pid), 4096);
    assert_flat("shim", before.1, figures(shim), 1024);
    engine.wharf(&["rm", "-f", "box"]).ok();
}

fn shim_of(engine: &Engine, name: &str) -> u32 {
    let pid = engine.wharf(&["inspect", "-f", "{{.State.Pid}}", name]).ok().to_owned();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read the container's status");
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .and_then(|text| text.trim().parse().ok())
        .expect("a parent")
}

/// Row 29: a supervisor that stands still keeps only the calls to its own container, and they go when it goes on.
#[test]
fn row_29_a_frozen_supervisor_holds_nothing_for_ever() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "3600"]).ok();
    let shim = shim_of(&engine, "box");
    let pid = engine.daemon_pid();
    for _ in 0..20 {
        drop(start_exec(&engine, &["true"]));
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    let before = figures(pid);
    testkit::engine::signal(shim, rustix::process::Signal::STOP);
    let waiting: Vec<UnixStream> = (0..100).map(|_| start_exec(&engine, &["true"])).collect();
    engine.wharf(&["ps"]).ok();
    drop(waiting);
    testkit::engine::signal(shim, rustix::process::Signal::CONT);
    engine.wharf(&["exec", "box", "true"]).ok();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_flat("engine", before, figures(pid), 8192);
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Row 30: limits the machine cannot have are refused before anything is made.
#[test]
fn row_30_impossible_limits_are_refused() {
    let engine = Engine::with_busybox();
    for options in [
        ["--cpuset-cpus", "0-4294967295"],
        ["--cpuset-cpus", "-1"],
        ["--cpuset-cpus", "0,,1"],
        ["--cpuset-mems", "0-99999999"],
        ["--cpus", "-1"],
        ["--cpus", "NaN"],
        ["--cpus", "1e99"],
        ["--memory", "-1"],
        ["--memory", "1"],
        ["--pids-limit", "99999999999999999999"],
        ["--oom-score-adj", "-5000"],
        ["--shm-size", "-1"],
        ["--ulimit", "nofile=-5:-9"],
    ] {
        let run = engine.wharf(&["run", "--rm", options[0], options[1], "busybox", "true"]);
        assert!(run.code == 125, "{options:?}: {run:?}");
    }
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "", "nothing is left of what was refused");
}
