//! Restarts, pause, commit, copy, prune over a container's life.

use std::time::{Duration, Instant};

use testkit::Engine;

/// Waits until a template of `inspect` gives a value.
#[track_caller]
fn wait_for(engine: &Engine, name: &str, template: &str, wanted: &str) {
    let deadline = Instant::now() + testkit::patience(15);
    loop {
        let seen = engine.wharf(&["inspect", "-f", template, name]);
        if seen.stdout.trim() == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{template} of {name} is {seen:?}, not {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn restart_always_brings_a_killed_container_back() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "again",
            "--restart",
            "always",
            "busybox",
            "sh",
            "-c",
            "sleep 0.2; exit 1",
        ])
        .ok();
    wait_for(&engine, "again", "{{gt .RestartCount 1}}", "true");
    engine.wharf(&["stop", "-t", "0", "again"]).ok();
    let count = engine.wharf(&["inspect", "-f", "{{.RestartCount}}", "again"]).ok().to_owned();
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(
        engine.wharf(&["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "again"]).ok(),
        format!("{count} exited")
    );
}

#[test]
fn restart_policies_hold_over_restarts_of_the_engine() {
    let mut engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "600"]).ok();
    engine
        .wharf(&["run", "-d", "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "600"])
        .ok();
    engine.wharf(&["run", "-d", "--name", "plain", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["stop", "-t", "0", "stopped"]).ok();
    engine.stop_daemon();
    engine.start_daemon();
    wait_for(&engine, "always", "{{.State.Status}}", "running");
    wait_for(&engine, "stopped", "{{.State.Status}}", "exited");
    wait_for(&engine, "plain", "{{.State.Status}}", "exited");
}

#[test]
fn a_commit_pauses_the_container_and_keeps_its_files() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&["run", "-d", "--name", "source", "busybox", "sh", "-c", "echo data >/file; sleep 600"])
        .ok();
    std::thread::sleep(Duration::from_millis(200));
    engine
        .wharf(&["commit", "-a", "somebody", "-m", "a message", "-c", "CMD cat /file", "source", "kept:1"])
        .ok();
    assert_eq!(engine.wharf(&["run", "--rm", "kept:1"]).ok(), "data");
    assert_eq!(
        engine.wharf(&["inspect", "-f", "{{.State.Status}}", "source"]).ok(),
        "running",
        "it goes on afterwards"
    );
    assert_eq!(
        engine.wharf(&["image", "inspect", "-f", "{{.Author}}: {{.Comment}}", "kept:1"]).ok(),
        "somebody: a message"
    );
}

#[test]
fn data_goes_with_the_container_unless_it_is_in_a_volume() {
    let engine = Engine::with_busybox();
    let write = "echo x >/inside; echo y >/data/kept";
    engine.wharf(&["run", "--name", "first", "-v", "store:/data", "busybox", "sh", "-c", write]).ok();
    engine.wharf(&["rm", "first"]).ok();
    let seen = engine.wharf(&[
        "run",
        "--rm",
        "-v",
        "store:/data",
        "busybox",
        "sh",
        "-c",
        "test ! -e /inside && cat /data/kept",
    ]);
    assert_eq!(seen.ok(), "y");
}

#[test]
fn system_prune_takes_what_is_not_used() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--name", "old", "busybox", "true"]).ok();
    engine.wharf(&["run", "-d", "--name", "young", "busybox", "sleep", "600"]).ok();
    let pruned = engine.wharf(&["system", "prune", "-f"]);
    assert!(pruned.ok().contains("Deleted Containers:"), "{pruned:?}");
    assert_eq!(engine.wharf(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "young");
    engine.wharf(&["rm", "-f", "young"]).ok();
}

#[test]
fn events_tell_the_story_of_a_run() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--rm", "--name", "story", "busybox", "true"]).ok();
    let told = engine.wharf(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "container=story",
        "--format",
        "{{.Action}}",
    ]);
    let actions: Vec<&str> = told.ok().lines().filter(|line| !line.contains("network")).collect();
    assert_eq!(actions, ["create", "attach", "start", "die", "destroy"]);
}
