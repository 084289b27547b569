//! Promises P1, P3, P5: killed engines and shims lose nothing and leave nothing; no call blocks another's.

mod images;
mod mixed;
mod transfers;

use std::time::{Duration, Instant};

use testkit::{Engine, census};

fn pid_of(engine: &Engine, name: &str) -> String {
    engine.wharf(&["inspect", "-f", "{{.State.Pid}}", name]).ok().to_owned()
}

#[test]
fn a_killed_engine_loses_no_container() {
    let mut engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "keeps",
            "busybox",
            "sh",
            "-c",
            "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done",
        ])
        .ok();
    engine.wharf(&["run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 0.5; exit 7"]).ok();
    let pid = pid_of(&engine, "keeps");
    engine.kill_daemon();
    std::thread::sleep(Duration::from_millis(900));
    engine.start_daemon();
    assert_eq!(pid_of(&engine, "keeps"), pid, "the same process goes on");
    assert_eq!(engine.wharf(&["wait", "ends"]).ok(), "7", "the exit that nobody saw is known");
    let lines: Vec<u32> =
        engine.wharf(&["logs", "keeps"]).ok().lines().map(|line| line.parse().expect("a number")).collect();
    assert!(lines.len() > 15, "the log went on: {lines:?}");
    assert!(
        lines.iter().enumerate().all(|(at, line)| at as u64 == u64::from(*line)),
        "no line is lost: {lines:?}"
    );
    assert_eq!(engine.wharf(&["exec", "keeps", "echo", "still"]).ok(), "still");
    engine.wharf(&["stop", "-t", "0", "keeps"]).ok();
}

#[test]
fn a_killed_shim_is_the_death_of_its_container() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    engine.wharf(&["run", "-d", "--name", "victim", "busybox", "sleep", "600"]).ok();
    let pid: u32 = pid_of(&engine, "victim").parse().expect("a process id");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read the container's status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    testkit::engine::signal(parent.trim().parse().expect("a process id"), rustix::process::Signal::KILL);
    let deadline = Instant::now() + testkit::patience(10);
    while engine.wharf(&["inspect", "-f", "{{.State.Running}}", "victim"]).ok() != "false" {
        assert!(Instant::now() < deadline, "the death of the container was not noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Who inherits the dead process of a dead parent reaps it whenever it likes.
    let left = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(left.is_empty() || left.contains("State:\tZ"), "the container's process is dead: {left}");
    engine.wharf(&["start", "victim"]).ok();
    engine.wharf(&["rm", "-f", "victim"]).ok();
    census::assert_returns_to(&engine, &before);
}

#[test]
fn nothing_is_left_of_removed_containers() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    let before = census::of(&engine);
    for number in 0..20 {
        let name = format!("box{number}");
        engine
            .wharf(&["run", "-d", "--name", &name, "-p", "80", "-v", "/data", "busybox", "sleep", "600"])
            .ok();
        engine.wharf(&["exec", &name, "true"]).ok();
        engine.wharf(&["rm", "-f", "-v", &name]).ok();
    }
    engine.wharf(&["run", "--rm", "busybox", "nosuchprogram"]).fails_with(127);
    census::assert_returns_to(&engine, &before);
    assert_eq!(engine.wharf(&["volume", "ls", "-q"]).ok(), "");
}

#[test]
fn a_frozen_shim_blocks_only_its_own_container() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "frozen", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["run", "-d", "--name", "other", "busybox", "sleep", "600"]).ok();
    let pid = pid_of(&engine, "frozen");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read the container's status");
    let shim: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .and_then(|text| text.trim().parse().ok())
        .expect("a parent");
    testkit::engine::signal(shim, rustix::process::Signal::STOP);
    let mut blocked = engine.wharf_command(&["exec", "frozen", "true"]).spawn().expect("start an exec");
    let start = Instant::now();
    engine.wharf(&["ps", "-a"]).ok();
    engine.wharf(&["inspect", "frozen"]).ok();
    engine.wharf(&["exec", "other", "true"]).ok();
    engine.wharf(&["rm", "-f", "other"]).ok();
    assert!(start.elapsed() < testkit::patience(5), "others waited {:?}", start.elapsed());
    testkit::engine::signal(shim, rustix::process::Signal::CONT);
    assert!(blocked.wait().expect("wait for the exec").success());
}
