//! Health checks and restarts as a user sees them.

use std::time::{Duration, Instant};

use testkit::Engine;

#[track_caller]
fn wait_for(engine: &Engine, name: &str, template: &str, wanted: &str) {
    let deadline = Instant::now() + testkit::patience(20);
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
fn a_health_check_goes_both_ways() {
    let engine = Engine::with_busybox();
    let check = "echo looked; test -e /well";
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "box",
            "--health-cmd",
            check,
            "--health-interval",
            "100ms",
            "--health-retries",
            "2",
            "busybox",
            "sleep",
            "600",
        ])
        .ok();
    wait_for(&engine, "box", "{{.State.Health.Status}}", "unhealthy");
    assert!(engine.wharf(&["ps", "--format", "{{.Status}}"]).ok().ends_with("(unhealthy)"));
    assert_eq!(engine.wharf(&["ps", "-q", "-f", "health=healthy"]).ok(), "");
    let log = engine.wharf(&[
        "inspect",
        "-f",
        "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}",
        "box",
    ]);
    assert_eq!(log.ok(), "1 looked");
    engine.wharf(&["exec", "box", "touch", "/well"]).ok();
    wait_for(&engine, "box", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "healthy 0");
    assert!(
        engine.wharf(&["ps", "--format", "{{.Status}}", "-f", "health=healthy"]).ok().ends_with("(healthy)")
    );
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(
        engine.wharf(&["inspect", "-f", "{{len .State.Health.Log}}", "box"]).ok(),
        "5",
        "five looks are kept"
    );
    let told = engine.wharf(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "event=health_status",
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(told.ok(), "health_status: unhealthy\nhealth_status: healthy");
    engine.wharf(&["rm", "-f", "box"]).ok();
}

#[test]
fn a_slow_check_is_cut_off_and_none_is_none() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "slow",
            "--health-cmd",
            "sleep 60",
            "--health-interval",
            "100ms",
            "--health-timeout",
            "200ms",
            "--health-retries",
            "1",
            "busybox",
            "sleep",
            "600",
        ])
        .ok();
    wait_for(&engine, "slow", "{{.State.Health.Status}}", "unhealthy");
    let log = engine.wharf(&[
        "inspect",
        "-f",
        "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}",
        "slow",
    ]);
    assert!(log.ok().starts_with("-1 Health check exceeded timeout (200ms)"), "{log:?}");
    engine.wharf(&["run", "-d", "--name", "none", "--no-healthcheck", "busybox", "sleep", "600"]).ok();
    assert_eq!(engine.wharf(&["inspect", "-f", "{{.State.Health}}", "none"]).ok(), "<nil>");
    engine.wharf(&["rm", "-f", "slow", "none"]).ok();
}

#[test]
fn failures_are_tried_again_as_often_as_said() {
    let engine = Engine::with_busybox();
    let begin = Instant::now();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "poor",
            "--restart",
            "on-failure:3",
            "busybox",
            "sh",
            "-c",
            "echo try; exit 4",
        ])
        .ok();
    engine
        .wharf(&["run", "-d", "--name", "fine", "--restart", "on-failure:3", "busybox", "echo", "once"])
        .ok();
    wait_for(
        &engine,
        "poor",
        "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}} {{.State.Restarting}}",
        "3 exited 4 false",
    );
    assert!(begin.elapsed() >= Duration::from_millis(700), "100, 200 and 400 ms lie between");
    assert_eq!(engine.wharf(&["logs", "poor"]).ok().lines().count(), 4);
    wait_for(&engine, "fine", "{{.RestartCount}} {{.State.Status}}", "0 exited");
    assert_eq!(engine.wharf(&["wait", "poor", "fine"]).ok(), "4\n0");
}
