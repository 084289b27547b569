//! Limits that bind, and what `stats` shows of them (MISSION rows 135 to 139).

use std::time::{Duration, Instant};

use testkit::Engine;

#[test]
fn the_process_limit_binds() {
    let engine = Engine::with_busybox();
    let script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo started";
    let limited = engine.wharf(&["run", "--rm", "--pids-limit", "10", "busybox", "sh", "-c", script]);
    assert!(limited.stderr.contains("can't fork"), "{limited:?}");
}

#[test]
fn the_processor_limit_binds() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "busy",
            "--cpus",
            "0.2",
            "busybox",
            "sh",
            "-c",
            "while :; do :; done",
        ])
        .ok();
    let cpu = || -> u64 {
        let answer = testkit::http::get(&engine.socket_path(), "/containers/busy/stats?stream=0&one-shot=1")
            .expect("stats");
        answer.json()["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().expect("a number")
    };
    std::thread::sleep(Duration::from_millis(300));
    let (start, used) = (Instant::now(), cpu());
    std::thread::sleep(Duration::from_secs(2));
    let share = (cpu() - used) as f64 / start.elapsed().as_nanos() as f64;
    assert!((0.1..0.3).contains(&share), "a fifth of a processor was allowed, {share:.2} was used");
    engine.wharf(&["rm", "-f", "busy"]).ok();
}

#[test]
fn a_running_containers_limits_change() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["update", "-m", "128m", "--memory-swap", "256m", "--pids-limit", "33", "box"]).ok();
    let answer = testkit::http::get(&engine.socket_path(), "/containers/box/stats?stream=0&one-shot=1")
        .expect("stats");
    assert_eq!(answer.json()["memory_stats"]["limit"], 128 << 20);
    assert_eq!(answer.json()["pids_stats"]["limit"], 33);
    engine.wharf(&["rm", "-f", "box"]).ok();
}

#[test]
fn block_devices_are_limited() {
    let engine = Engine::with_busybox();
    let root = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    let Some(device) = root.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let source = right.split(' ').nth(1)?;
        (left.split(' ').nth(4) == Some("/") && source.starts_with("/dev/")).then(|| source.to_owned())
    }) else {
        eprintln!("skipped: the root of this machine is on no block device");
        return;
    };
    let limit = format!("{device}:1mb");
    let seen = engine.wharf(&[
        "run",
        "--rm",
        "--device-write-bps",
        &limit,
        "busybox",
        "sh",
        "-c",
        "cat /sys/fs/cgroup/blkio/blkio.throttle.write_bps_device 2>/dev/null || cat /sys/fs/cgroup/io.max",
    ]);
    assert!(seen.ok().contains("1048576"), "{seen:?}");
}

#[test]
fn stats_stream_and_end() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&["run", "-d", "--name", "box", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done"])
        .ok();
    let table = engine.wharf(&["stats", "--no-stream"]);
    let lines: Vec<&str> = table.ok().lines().collect();
    assert!(lines[0].starts_with("CONTAINER ID") && lines[0].ends_with("PIDS"), "{table:?}");
    assert!(lines[1].contains("box") && lines[1].contains("64MiB"), "{table:?}");
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// `--shm-size` binds whether or not others may join, and who joins sees the same memory.
#[test]
fn shared_memory_has_its_size_and_can_be_joined() {
    let engine = Engine::with_busybox();
    let mine = ["--ipc", "shareable", "--shm-size", "2m"];
    let run = [&["run", "-d", "--name", "donor"][..], &mine, &["busybox", "sleep", "600"]].concat();
    engine.wharf(&run).ok();
    let fill = "dd if=/dev/zero of=/dev/shm/big bs=1k count=4000 2>&1; wc -c < /dev/shm/big";
    let filled = engine.wharf(&["exec", "donor", "sh", "-c", fill]);
    assert!(filled.ok().contains("No space left on device"), "{filled:?}");
    assert!(filled.stdout.ends_with("2097152\n"), "{filled:?}");
    engine.wharf(&["exec", "donor", "sh", "-c", "echo from-donor > /dev/shm/big"]).ok();
    let joined = engine.wharf(&[
        "run",
        "--rm",
        "--ipc",
        "container:donor",
        "busybox",
        "sh",
        "-c",
        "cat /dev/shm/big; echo from-guest > /dev/shm/note; df -k /dev/shm | awk 'END { print $2 }'",
    ]);
    assert_eq!(joined.ok(), "from-donor\n2048");
    assert_eq!(engine.wharf(&["exec", "donor", "cat", "/dev/shm/note"]).ok(), "from-guest");
    let host = std::fs::read_dir("/dev/shm").unwrap().flatten().any(|entry| entry.file_name() == "note");
    assert!(!host, "the memory is the host's");
    // A new start begins with empty memory.
    engine.wharf(&["restart", "-t", "0", "donor"]).ok();
    assert_eq!(engine.wharf(&["exec", "donor", "ls", "/dev/shm"]).ok(), "");
}
