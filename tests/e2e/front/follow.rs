//! Commands that watch: logs with rotation, stats, wait, events, top.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::{Engine, Terminal};

#[test]
fn logs_rotate_on_disk() {
    let engine = Engine::with_busybox();
    let options = ["--log-opt", "max-size=10k", "--log-opt", "max-file=3"];
    let mut words = vec!["run", "--name", "chatty"];
    words.extend(options);
    words.extend(["busybox", "seq", "1", "3000"]);
    assert_eq!(engine.wharf(&words).ok().lines().count(), 3000, "the client sees everything");
    let path = engine.wharf(&["inspect", "-f", "{{.LogPath}}", "chatty"]).ok().to_owned();
    for (name, wanted) in [("", true), (".1", true), (".2", true), (".3", false)] {
        let about = std::fs::metadata(format!("{path}{name}"));
        assert_eq!(about.is_ok(), wanted, "{path}{name}");
        if let Ok(about) = about {
            assert!((1..=10_240 + 200).contains(&about.len()), "{name} has {} bytes", about.len());
        }
    }
    let kept: Vec<u32> =
        engine.wharf(&["logs", "chatty"]).ok().lines().map(|line| line.parse().expect("a number")).collect();
    assert!(kept.len() > 100 && kept.len() < 1000, "{} lines", kept.len());
    assert_eq!(kept.last(), Some(&3000));
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap in {kept:?}");
    assert_eq!(engine.wharf(&["logs", "-n", "3", "chatty"]).ok(), "2998\n2999\n3000");
    let bad = engine.wharf(&["run", "--rm", "--log-opt", "max-size=x", "busybox", "true"]);
    assert!(bad.code == 125 && bad.stderr.contains("invalid size: 'x'"), "{bad:?}");
}

#[test]
fn followed_logs_cross_rotations() {
    let engine = Engine::with_busybox();
    let script = "for i in $(seq 1 40); do seq $((i*100-99)) $((i*100)); sleep 0.01; done";
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "chatty",
            "--log-opt",
            "max-size=20k",
            "--log-opt",
            "max-file=5",
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .ok();
    let seen = engine.wharf(&["logs", "-f", "chatty"]);
    let lines: Vec<u32> = seen.ok().lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(lines.last(), Some(&4000));
    assert!(lines.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap among {} lines", lines.len());
}

#[test]
fn several_containers_are_watched_at_once() {
    let engine = Engine::with_busybox();
    for (name, code) in [("one", "5"), ("two", "6")] {
        let script = format!("trap 'exit {code}' TERM; while :; do sleep 0.05; done");
        engine.wharf(&["run", "-d", "--name", name, "busybox", "sh", "-c", &script]).ok();
    }
    let once = engine.wharf(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "two", "one"]);
    assert_eq!(
        once.ok().lines().map(|line| line.split(' ').next().unwrap_or_default()).collect::<Vec<_>>(),
        ["two", "one"]
    );
    assert!(
        engine.wharf(&["stats", "--no-stream", "nope"]).fails_with(1).contains("No such container: nope")
    );
    let live =
        Terminal::spawn(&mut engine.wharf_command(&["stats", "--format", "table {{.Name}}\t{{.MemUsage}}"]));
    live.wait_for("one");
    live.wait_for("two");
    engine.wharf(&["run", "-d", "--name", "three", "busybox", "sleep", "600"]).ok();
    live.wait_for("three");
    drop(live);
    let waiting =
        engine.wharf_command(&["wait", "one", "two"]).stdout(Stdio::piped()).spawn().expect("start");
    engine.wharf(&["stop", "two", "one"]).ok();
    let output = waiting.wait_with_output().expect("wait");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5\n6\n");
    let missing = engine.wharf(&["wait", "one", "nope"]);
    assert!(
        missing.code == 1 && missing.stdout == "5\n" && missing.stderr.contains("No such container: nope"),
        "{missing:?}"
    );
    engine.wharf(&["rm", "-f", "three"]).ok();
}

#[test]
fn events_are_followed_live() {
    let engine = Engine::with_busybox();
    let mut words = vec!["events", "--format", "{{.Action}}|{{.Actor.Attributes.name}}"];
    words.extend(["-f", "type=container", "-f", "label=watch=yes"]);
    let mut follower = engine.wharf_command(&words).stdout(Stdio::piped()).spawn().expect("start");
    let mut lines = BufReader::new(follower.stdout.take().expect("its output")).lines();
    // Until it listens, nothing would be told.
    let deadline = Instant::now() + testkit::patience(10);
    let (first, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if first.send(line).is_err() {
                break;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.is_empty() {
        assert!(Instant::now() < deadline, "no event came");
        engine.wharf(&["run", "--rm", "--name", "bell", "--label", "watch=yes", "busybox", "true"]).ok();
        engine.wharf(&["run", "--rm", "--name", "mute", "busybox", "true"]).ok();
        seen.extend(told.recv_timeout(Duration::from_secs(1)));
    }
    while seen.last().is_none_or(|line| line != "destroy|bell") {
        seen.push(told.recv_timeout(testkit::patience(10)).expect("the story goes on"));
    }
    for action in ["start|bell", "die|bell", "destroy|bell"] {
        assert!(seen.iter().any(|line| line == action), "{action} is not among {seen:?}");
    }
    assert!(seen.iter().all(|line| line.ends_with("|bell")), "{seen:?}");
    let _ = follower.kill();
    let _ = follower.wait();
    reader.join().expect("the reader ends");
}

#[test]
fn top_lists_the_containers_processes() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 601 & sleep 602 & wait"]).ok();
    let deadline = Instant::now() + testkit::patience(10);
    let seen = loop {
        let seen = engine.wharf(&["top", "box"]);
        if seen.stdout.contains("sleep 602") || Instant::now() > deadline {
            break seen;
        }
    };
    let text = seen.ok();
    assert!(text.starts_with("UID") && text.contains("CMD") && text.lines().count() == 4, "{text}");
    assert!(text.contains("sleep 601") && text.contains("sh -c sleep 601"), "{text}");
    let chosen = engine.wharf(&["top", "box", "-o", "pid,args"]);
    assert!(
        chosen.ok().lines().next().is_some_and(|line| line.split_whitespace().eq(["PID", "COMMAND"])),
        "{chosen:?}"
    );
    engine.wharf(&["stop", "-t", "0", "box"]).ok();
    assert!(engine.wharf(&["top", "box"]).fails_with(1).contains("is not running"));
}

#[test]
fn the_local_driver_keeps_compact_files() {
    let engine = Engine::with_busybox();
    let options = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
    let script = "seq 1 6000; printf 'a\\377b\\n'; sleep 1; echo oops >&2; sleep 1; echo last";
    let words = [&["run", "--name", "quiet"][..], &options, &["busybox", "sh", "-c", script]].concat();
    engine.wharf(&words).ok();
    let id = engine.wharf(&["inspect", "-f", "{{.Id}}", "quiet"]).ok().to_owned();
    let folder = engine.data_root().join("containers").join(&id);
    let size = |name: &str| std::fs::metadata(folder.join(name)).map(|about| about.len());
    assert!(size("container.log").unwrap() <= 20_200);
    assert!(size("container.log.1.gz").unwrap() < 10_000, "compressed by default");
    assert!(size("container.log.2.gz").is_ok() && size("container.log.3.gz").is_err());
    let text = std::fs::read(folder.join("container.log")).unwrap();
    assert!(!text.starts_with(b"{"), "{}", String::from_utf8_lossy(&text));
    // A line of four digits takes twenty bytes where JSON takes over eighty.
    let kept = engine.wharf(&["logs", "quiet"]);
    let count = kept.stdout.lines().count();
    assert!((1500..3500).contains(&count), "{count} lines");
    assert_eq!(kept.stderr, "oops\n");
    assert_eq!(engine.wharf(&["logs", "-n", "2", "quiet"]).stdout, "last\n");
    let stamped = engine.wharf(&["logs", "-t", "-n", "1", "quiet"]).ok().to_owned();
    let (time, text) = stamped.split_once(' ').unwrap();
    assert_eq!(text, "last");
    assert_eq!(engine.wharf(&["logs", "--since", time, "quiet"]).stdout, "last\n");
    assert!(!engine.wharf(&["logs", "--until", time, "-n", "5", "quiet"]).stdout.contains("oops"));
    let mut raw = engine.wharf_command(&["logs", "-n", "3", "quiet"]);
    let raw = raw.output().unwrap().stdout;
    assert!(raw.starts_with(b"a\xffb\n"), "{raw:?}");
    engine.wharf(&["start", "quiet"]).ok();
    let followed = engine.wharf(&["logs", "-f", "-n", "1", "quiet"]);
    assert!(followed.ok().ends_with("last"), "{followed:?}");
}
