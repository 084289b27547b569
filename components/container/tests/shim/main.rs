//! Containers through real shims: streams, execs, ends, lost shims, restarted engines.

mod fixture;

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use container::{Recovered, ShimError, ShimEvent};
use fixture::{Fixture, Wanted, attach_to, process, read_all, read_until, shell, wait_until};
use model::{ContainerId, ErrorKind, Kinded};
use rustix::process::{Pid, Signal};
use shim_protocol::{Event, Exec, FailureKind, Phase, Target};

fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![stream, 0, 0, 0];
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn end(fixture: &Fixture, id: &ContainerId) {
    fixture.supervisor().signal(id, Target::Init, 9, false).unwrap();
    assert_eq!(fixture.heard.exit(id).code, 137);
    fixture.supervisor().acknowledge(id);
}

#[test]
fn output_goes_to_the_log_and_to_clients_framed() {
    let fixture = Fixture::new();
    let line = "echo out; sleep 0.1; echo err >&2; exit 3";
    let id = ContainerId::generate();
    fixture.supervisor().spawn(&id).unwrap();
    // The client comes before the container is made, as `run` does it.
    let mut client = fixture.attach(&id, true);
    let wanted = Wanted { args: &shell(line), ..Wanted::default() };
    let created = fixture.supervisor().create(&id, fixture.document(&id, &wanted), &[], None, None).unwrap();
    assert!(created.pid > 0 && created.started.is_some());
    assert_eq!(read_all(&mut client), [frame(1, "out\n"), frame(2, "err\n")].concat());
    let exit = fixture.heard.exit(&id);
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (3, None, false));
    assert_eq!(fixture.log_text(&id), "out\nerr\n");
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn a_created_container_waits_for_its_start() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["echo", "hi"], start: false, ..Wanted::default() });
    assert_eq!(fixture.supervisor().state(&id).unwrap().phase, Phase::Created);
    fixture.supervisor().start(&id).unwrap();
    assert_eq!(fixture.heard.exit(&id).code, 0);
    assert_eq!(fixture.log_text(&id), "hi\n");
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn input_ends_when_the_client_closes_its_half() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["cat"], stdin: true, ..Wanted::default() });
    let mut client = fixture.attach(&id, false);
    let text = "x".repeat(300_000) + "\n";
    let sender = {
        let mut client = client.try_clone().unwrap();
        let text = text.clone();
        std::thread::spawn(move || {
            client.write_all(text.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        })
    };
    assert_eq!(read_all(&mut client).len(), text.len());
    sender.join().unwrap();
    assert_eq!(fixture.heard.exit(&id).code, 0);
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn a_terminal_has_a_size_and_detach_keys() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["sh"], tty: true, stdin: true, ..Wanted::default() });
    fixture.supervisor().resize(&id, Target::Init, 33, 101).unwrap();
    let mut client = fixture.attach(&id, false);
    client.write_all(b"stty size; tty\n").unwrap();
    assert!(read_until(&mut client, "/dev/pts/0").contains("33 101"));
    client.write_all(b"echo ab\x10\x11cd\n").unwrap();
    read_all(&mut client);
    let detached = fixture.heard.wait(&id, |event| match event {
        ShimEvent::Said(Event::AttachEnded { key: 7, detached, .. }) => Some(*detached),
        _ => None,
    });
    assert!(detached);
    // Two clients at once see the same.
    let (mut first, mut second) = (fixture.attach(&id, false), fixture.attach(&id, false));
    first.write_all(b"\necho $((40+2))\n").unwrap();
    read_until(&mut first, "42");
    read_until(&mut second, "42");
    second.write_all(b"exit 5\n").unwrap();
    read_all(&mut first);
    assert_eq!(fixture.heard.exit(&id).code, 5);
    fixture.supervisor().acknowledge(&id);
}

fn exec(
    fixture: &Fixture,
    id: &ContainerId,
    name: &str,
    args: &[&str],
) -> (UnixStream, Result<i32, ShimError>) {
    let (client, theirs) = UnixStream::pair().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let exec = Exec {
        id: name.to_owned(),
        process: process(args, false),
        open_stdin: true,
        attach: Some(attach_to(Target::Exec(name.to_owned()), true)),
    };
    let started = fixture.supervisor().exec(id, exec, &[], Some(theirs.as_fd()));
    (client, started.map(|started| started.pid))
}

fn exec_code(fixture: &Fixture, id: &ContainerId, name: &str) -> i32 {
    fixture.heard.wait(id, |event| match event {
        ShimEvent::Said(Event::ExecExited { id, exit }) if id == name => Some(exit.code),
        _ => None,
    })
}

#[test]
fn execs_have_streams_and_codes_of_their_own() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let (mut client, started) = exec(&fixture, &id, "one", &shell("cat; hostname; exit 4"));
    assert!(started.unwrap() > 0);
    client.write_all(b"typed\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let output = read_all(&mut client);
    assert_eq!(output, [frame(1, "typed\n"), frame(1, "shimtest\n")].concat());
    assert_eq!(exec_code(&fixture, &id, "one"), 4);
    let (_client, missing) = exec(&fixture, &id, "two", &["no-such-program"]);
    match missing {
        Err(ShimError::Refused(failure)) => {
            assert_eq!(failure.kind, FailureKind::CommandNotFound, "{failure}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.log_text(&id), "");
    end(&fixture, &id);
}

#[test]
fn an_exec_ends_though_a_child_holds_its_output() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let before = Instant::now();
    for number in 0..20 {
        let name = format!("exec{number}");
        let (mut client, started) = exec(&fixture, &id, &name, &shell("sleep 500 & echo started"));
        started.unwrap();
        assert_eq!(read_all(&mut client), frame(1, "started\n"));
        assert_eq!(exec_code(&fixture, &id, &name), 0);
    }
    assert!(before.elapsed() < Duration::from_secs(10));
    assert!(fixture.supervisor().state(&id).unwrap().execs.is_empty());
    end(&fixture, &id);
}

/// Row 29 of the security checklist: nothing grows with the number of execs.
#[test]
fn many_execs_leave_nothing_in_the_shim() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let shim = shim_pid(&fixture, &id).as_raw_nonzero();
    let run = |number: u32| {
        let name = format!("exec{number}");
        let (mut client, started) = exec(&fixture, &id, &name, &shell("sleep 0.2 & yes | head -c 100000"));
        started.unwrap();
        read_all(&mut client);
        assert_eq!(exec_code(&fixture, &id, &name), 0);
    };
    let descriptors = || std::fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    let heap = || {
        let status = std::fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    (0..20).for_each(run);
    let before = (descriptors(), heap());
    (20..120).for_each(run);
    // The client sees the end a moment before its socket is closed.
    assert!(wait_until(|| descriptors() < before.0 + 2));
    assert!(heap() < before.1 + 200, "{} KiB, {} before", heap(), before.1);
    end(&fixture, &id);
}

#[test]
fn signals_reach_the_process_and_its_trap() {
    let fixture = Fixture::new();
    let line = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let id = fixture.run(&Wanted { args: &shell(line), ..Wanted::default() });
    assert!(wait_until(|| fixture.log_text(&id) == "ready\n"));
    fixture.supervisor().signal(&id, Target::Init, 15, false).unwrap();
    assert_eq!(fixture.heard.exit(&id).code, 9);
    assert_eq!(fixture.log_text(&id), "ready\ncaught\n");
    let refused = fixture.supervisor().signal(&id, Target::Init, 15, false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn a_paused_container_stands_still_and_can_be_killed() {
    let fixture = Fixture::new();
    let line = "while :; do echo tick; sleep 0.02; done";
    let id = fixture.run(&Wanted { args: &shell(line), ..Wanted::default() });
    assert!(wait_until(|| fixture.log_text(&id).contains("tick")));
    fixture.supervisor().pause(&id).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let frozen = fixture.log_text(&id);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(fixture.log_text(&id), frozen);
    assert_eq!(fixture.supervisor().pause(&id).unwrap_err().kind(), ErrorKind::Conflict);
    fixture.supervisor().resume(&id).unwrap();
    assert!(wait_until(|| fixture.log_text(&id).len() > frozen.len()));
    fixture.supervisor().pause(&id).unwrap();
    end(&fixture, &id);
}

#[test]
fn running_out_of_memory_is_told() {
    let fixture = Fixture::new();
    let wanted = Wanted { args: &["tail", "/dev/zero"], memory: Some(16 << 20), ..Wanted::default() };
    let id = fixture.run(&wanted);
    fixture.heard.wait(&id, |event| matches!(event, ShimEvent::Said(Event::OutOfMemory)).then_some(()));
    let exit = fixture.heard.exit(&id);
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), true));
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn a_failed_start_leaves_nothing() {
    let fixture = Fixture::new();
    for (args, kind) in [
        (["/no/such/program"], FailureKind::CommandNotFound),
        (["/etc/passwd"], FailureKind::CommandNotExecutable),
        (["/etc"], FailureKind::CommandNotExecutable),
    ] {
        let (id, created) = fixture.try_run(&Wanted { args: &args, ..Wanted::default() });
        match created {
            Err(ShimError::Refused(failure)) => assert_eq!(failure.kind, kind, "{failure}"),
            other => panic!("{other:?}"),
        }
        fixture.supervisor().acknowledge(&id);
    }
}

#[test]
fn a_killed_shim_takes_its_container_along() {
    let fixture = Fixture::new();
    for host_pid in [false, true] {
        let wanted = Wanted { args: &shell("sleep 1000 & sleep 1000"), host_pid, ..Wanted::default() };
        let id = fixture.run(&wanted);
        let pid = fixture.supervisor().state(&id).unwrap().pid;
        fixture.supervisor().kill_hard(&id);
        let code = fixture.heard.wait(&id, |event| match event {
            ShimEvent::Lost(exit) => Some(exit.code),
            _ => None,
        });
        assert_eq!(code, 137);
        assert!(wait_until(|| is_gone(Pid::from_raw(pid).unwrap())));
        assert!(!fixture.supervisor().is_connected(&id));
        fixture.supervisor().acknowledge(&id);
    }
}

#[test]
fn a_restarted_engine_finds_its_containers() {
    let mut fixture = Fixture::new();
    let running = fixture.run(&Wanted { args: &shell("echo on; sleep 1000"), ..Wanted::default() });
    let ending = fixture.run(&Wanted { args: &shell("echo off; sleep 0.3; exit 6"), ..Wanted::default() });
    let killed = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let shim = shim_pid(&fixture, &killed);
    let mut client = fixture.attach(&running, false);
    let pid = fixture.supervisor().state(&running).unwrap().pid;
    fixture.restart();
    assert!(wait_until(|| fixture.supervisor().directory(&ending).join("exit.json").exists()));
    rustix::process::kill_process(shim, Signal::KILL).unwrap();
    assert!(wait_until(|| is_gone(shim)));
    let recovered = fixture.supervisor().recover().unwrap();
    assert_eq!(recovered.len(), 3);
    for one in recovered {
        match one {
            Recovered::Alive { id, snapshot } => {
                assert_eq!((&id, snapshot.pid, &snapshot.phase), (&running, pid, &Phase::Running));
                assert_eq!(snapshot.attached, [7]);
            }
            Recovered::Exited { id, exit } => assert_eq!((&id, exit.code), (&ending, 6)),
            Recovered::Lost { id, exit } => assert_eq!((&id, exit.code), (&killed, 137)),
            other => panic!("{other:?}"),
        }
    }
    // The client has not noticed.
    let (mut other, started) = exec(&fixture, &running, "after", &shell("echo still >/proc/1/fd/1"));
    started.unwrap();
    read_all(&mut other);
    assert_eq!(read_until(&mut client, "still"), "still\n");
    end(&fixture, &running);
    fixture.supervisor().acknowledge(&ending);
    fixture.supervisor().acknowledge(&killed);
}

fn shim_pid(fixture: &Fixture, id: &ContainerId) -> Pid {
    let pid = fixture.supervisor().state(id).unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
}

fn is_gone(pid: Pid) -> bool {
    // Whoever inherits the process may take its time to collect it.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z")
}

#[test]
fn a_sleeping_shim_delays_nobody_else() {
    let fixture = Fixture::new();
    let asleep = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let shim = shim_pid(&fixture, &asleep);
    rustix::process::kill_process(shim, Signal::STOP).unwrap();
    let before = Instant::now();
    let awake = fixture.run(&Wanted { args: &["true"], ..Wanted::default() });
    assert_eq!(fixture.heard.exit(&awake).code, 0);
    assert!(before.elapsed() < Duration::from_secs(5));
    fixture.supervisor().acknowledge(&awake);
    rustix::process::kill_process(shim, Signal::CONT).unwrap();
    end(&fixture, &asleep);
}

#[test]
fn a_slow_client_loses_nothing_and_the_log_has_all() {
    let fixture = Fixture::new();
    let id = ContainerId::generate();
    fixture.supervisor().spawn(&id).unwrap();
    let mut client = fixture.attach(&id, false);
    let wanted = Wanted { args: &shell("yes 0123456789abcde | head -c 8000000"), ..Wanted::default() };
    fixture.supervisor().create(&id, fixture.document(&id, &wanted), &[], None, None).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(read_all(&mut client).len(), 8_000_000);
    assert_eq!(fixture.heard.exit(&id).code, 0);
    assert_eq!(fixture.log_text(&id).len(), 8_000_000);
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn wharfs_own_init_reaps_and_passes_signals() {
    let fixture = Fixture::new();
    let line = "trap 'exit 8' TERM; echo ready $$; while :; do sleep 0.05; done";
    let id = fixture.run(&Wanted { args: &shell(line), init: true, ..Wanted::default() });
    assert!(wait_until(|| fixture.log_text(&id).starts_with("ready")));
    assert!(!fixture.log_text(&id).starts_with("ready 1\n"));
    fixture.supervisor().signal(&id, Target::Init, 15, false).unwrap();
    assert_eq!(fixture.heard.exit(&id).code, 8);
    fixture.supervisor().acknowledge(&id);
}

#[test]
fn processes_are_listed_as_ps_does() {
    let fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &shell("sleep 1000 & sleep 2000"), ..Wanted::default() });
    let group = linux::cgroup::Hierarchies::detect().unwrap();
    let group = group.open(&format!("{}/{}", fixture.cgroup, id.short())).unwrap();
    let shows = |command: &str| {
        let list = container::top::list(&group.pids().unwrap(), "-o pid,args").unwrap();
        list.processes.iter().any(|row| row[1] == command)
    };
    assert!(wait_until(|| shows("sleep 1000") && shows("sleep 2000")));
    let sample =
        container::stats::sample(&linux::cgroup::Hierarchies::detect().unwrap(), group.path()).unwrap();
    assert!(sample.system_cpu > 0 && sample.online_cpus > 0 && sample.memory_limit < u64::MAX);
    end(&fixture, &id);
}

/// Not a test: prints what a start costs and what a parked shim holds. Run it with a release build of the shim in
/// `WHARF_BIN_DIR`.
#[test]
#[ignore = "measures"]
fn costs() {
    let fixture = Fixture::new();
    let warm = fixture.run(&Wanted::default());
    fixture.heard.exit(&warm);
    fixture.supervisor().acknowledge(&warm);
    let before = rusage();
    let clock = Instant::now();
    const RUNS: u32 = 100;
    for _ in 0..RUNS {
        let id = fixture.run(&Wanted::default());
        fixture.heard.exit(&id);
        fixture.supervisor().acknowledge(&id);
        assert!(fixture.supervisor().wait_gone(&id, Duration::from_secs(5)));
    }
    let wall = clock.elapsed() / RUNS;
    let after = rusage();
    let (user, kernel) = ((after.0 - before.0) / RUNS, (after.1 - before.1) / RUNS);
    println!(
        "each start: {user:?} user, {kernel:?} kernel of shim and container; {wall:?} to the end of the shim"
    );
    let clock = Instant::now();
    let id = fixture.run(&Wanted {
        args: &shell("yes 0123456789012345678901234567890123456789 | head -c 200000000"),
        ..Wanted::default()
    });
    fixture.heard.exit(&id);
    println!("200 MB of log lines: {:.0} MB/s", 200.0 / clock.elapsed().as_secs_f64());
    fixture.supervisor().acknowledge(&id);
    let id = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let clock = Instant::now();
    for number in 0..RUNS {
        let (mut client, started) = exec(&fixture, &id, &format!("exec{number}"), &["true"]);
        started.unwrap();
        read_all(&mut client);
    }
    println!("each exec: {:?} to the end of its stream", clock.elapsed() / RUNS);
    end(&fixture, &id);
    let parked: Vec<ContainerId> =
        (0..3).map(|_| fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() })).collect();
    std::thread::sleep(Duration::from_millis(2500));
    for id in &parked {
        let shim = shim_pid(&fixture, id).as_raw_nonzero();
        let rollup = std::fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap();
        let kept = rollup.lines().filter(|line| line.starts_with("Private") || line.starts_with("Pss"));
        println!(
            "parked: {}",
            kept.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join(", ")
        );
        if std::env::var_os("SHIM_MAPS").is_some() {
            println!("{}", std::fs::read_to_string(format!("/proc/{shim}/smaps")).unwrap());
        }
    }
    for id in &parked {
        end(&fixture, id);
    }
}

/// User and kernel time of ended children of this process and theirs.
fn rusage() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |number: usize| Duration::from_millis(fields[number].parse::<u64>().unwrap() * 10);
    (ticks(13), ticks(14))
}

#[test]
fn a_container_dies_with_its_shim_though_no_engine_is_there() {
    let mut fixture = Fixture::new();
    let id = fixture.run(&Wanted { args: &["sleep", "1000"], ..Wanted::default() });
    let pid = fixture.supervisor().state(&id).unwrap().pid;
    let shim = shim_pid(&fixture, &id);
    fixture.restart();
    rustix::process::kill_process(shim, Signal::KILL).unwrap();
    assert!(wait_until(|| is_gone(Pid::from_raw(pid).unwrap())));
    assert!(matches!(&fixture.supervisor().recover().unwrap()[..], [Recovered::Lost { .. }]));
    fixture.supervisor().acknowledge(&id);
}
