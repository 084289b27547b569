//! The daemon: engines side by side, several addresses, owners, versions, reload, being called dockerd, going away.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::engine::{binary_dir, run, signal};
use testkit::http::get;

use super::folder::Folder;

#[test]
fn two_engines_share_a_machine() {
    let (left, right) = (Engine::with_busybox(), Engine::with_busybox());
    for engine in [&left, &right] {
        engine.wharf(&["run", "-d", "--name", "same", "-p", "127.0.0.1::80", "busybox", "sleep", "600"]).ok();
        engine.wharf(&["volume", "create", "same"]).ok();
    }
    let ask =
        |engine: &Engine, template: &str| engine.wharf(&["inspect", "-f", template, "same"]).ok().to_owned();
    for template in [
        "{{.Id}}",
        "{{.NetworkSettings.Networks.bridge.IPAddress}}",
        "{{.NetworkSettings.Networks.bridge.Gateway}}",
        "{{.NetworkSettings.Ports}}",
    ] {
        assert_ne!(ask(&left, template), ask(&right, template), "{template}");
    }
    right.wharf(&["rm", "-f", "same"]).ok();
    right.wharf(&["system", "prune", "-af", "--volumes"]).ok();
    assert_eq!(left.wharf(&["exec", "same", "echo", "alive"]).ok(), "alive");
    assert_eq!(left.wharf(&["volume", "ls", "-q"]).ok(), "same");
    drop(right);
    assert_eq!(
        left.wharf(&[
            "run",
            "--rm",
            "busybox",
            "ping",
            "-c1",
            "-W2",
            &ask(&left, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
        ])
        .code,
        0
    );
    left.wharf(&["rm", "-f", "same"]).ok();
}

#[test]
fn one_engine_listens_on_several_addresses() {
    let folder = Folder::new();
    let second = folder.file("second.sock");
    let engine = Engine::start_with(&["-H", &format!("unix://{second}"), "-H", "tcp://127.0.0.1:0"]);
    assert_eq!(get(second.as_ref(), "/_ping").expect("ask").text(), "OK");
    let line = engine.log();
    let port = line
        .split("127.0.0.1:")
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok());
    let port = port.filter(|port| *port > 0).last().unwrap_or_else(|| panic!("no port in {line}"));
    assert_eq!(folder.wharf(&["-H", &format!("tcp://127.0.0.1:{port}"), "ps", "-q"]).ok(), "");
}

#[test]
fn the_socket_belongs_to_a_group() {
    let groups = std::fs::read_to_string("/etc/group").expect("read the groups");
    let users =
        groups.lines().find_map(|line| line.strip_prefix("users:x:")?.split(':').next()?.parse::<u32>().ok());
    let users = users.expect("the machine has a group `users`");
    for wanted in ["users".to_owned(), users.to_string()] {
        let engine = Engine::start_with(&["--group", &wanted]);
        let about = std::fs::metadata(engine.socket_path()).expect("look at the socket");
        assert_eq!(
            (about.uid(), about.gid(), about.permissions().mode() & 0o7777),
            (0, users, 0o660),
            "{wanted}"
        );
    }
}

#[test]
fn api_versions_are_negotiated() {
    let engine = Engine::start();
    let ask = |target: &str| get(&engine.socket_path(), target).expect("ask");
    for minor in 24..=55 {
        for path in [
            "version",
            "info",
            "containers/json?all=1",
            "images/json",
            "networks",
            "volumes",
            "events?since=1&until=2",
        ] {
            let answer = ask(&format!("/v1.{minor}/{path}"));
            assert_eq!(answer.status, 200, "1.{minor} {path}: {}", answer.text());
        }
    }
    for (version, wanted) in [
        (
            "1.23",
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
        ("1.56", "client version 1.56 is too new. Maximum supported API version is 1.55"),
        ("2.0", "client version 2.0 is too new. Maximum supported API version is 1.55"),
    ] {
        let answer = ask(&format!("/v{version}/containers/json"));
        assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some(wanted)));
    }
    for version in ["1.24", "1.40", "1.55"] {
        let mut command = engine.wharf_command(&["version", "-f", "{{.Client.APIVersion}}"]);
        assert_eq!(run(command.env("DOCKER_API_VERSION", version), None).ok(), version);
    }
    let mut old = engine.wharf_command(&["ps"]);
    assert!(
        run(old.env("DOCKER_API_VERSION", "1.20"), None)
            .fails_with(1)
            .contains("client version 1.20 is too old")
    );
}

#[test]
fn a_reload_is_an_event() {
    let folder = Folder::new();
    let file = folder.file("daemon.json");
    std::fs::write(&file, r#"{"labels": ["a=1"]}"#).expect("write the configuration");
    let engine = Engine::start_with(&["--config-file", &file]);
    std::fs::write(&file, r#"{"labels": ["a=2"], "debug": true}"#).expect("write the configuration");
    signal(engine.daemon_pid(), rustix::process::Signal::HUP);
    let deadline = Instant::now() + testkit::patience(10);
    loop {
        let told = engine.wharf(&[
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "-f",
            "type=daemon",
            "--format",
            "{{.Action}} {{json .Actor.Attributes}}",
        ]);
        if told.ok().starts_with("reload ") {
            assert!(told.stdout.contains("a=2"), "{told:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{told:?} {}", engine.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(engine.wharf(&["info", "-f", "{{.Labels}} {{.Debug}}"]).ok(), "[a=2] true");
}

#[test]
fn called_dockerd_it_is_dockerd() {
    let folder = Folder::new();
    let link = folder.path().join("dockerd");
    std::os::unix::fs::symlink(binary_dir().join("wharfd"), &link).expect("make a link");
    let ask = |arguments: &[&str]| run(Command::new(&link).args(arguments), None);
    assert!(ask(&["--version"]).ok().starts_with("Docker version "));
    let help = ask(&["--help"]);
    for text in ["Usage:  dockerd [OPTIONS]", "/var/lib/docker", "/var/run/docker", "/etc/docker/daemon.json"]
    {
        assert!(help.ok().contains(text), "{text} in {help:?}");
    }
    std::fs::write(folder.file("daemon.json"), r#"{"data-root": "/somewhere"}"#).expect("write a file");
    let valid = ask(&["--validate", "--config-file", &folder.file("daemon.json")]);
    assert!(
        valid.code == 0 && format!("{}{}", valid.stdout, valid.stderr).contains("configuration OK"),
        "{valid:?}"
    );
    let missing = ask(&["--validate", "--config-file", &folder.file("nope.json")]);
    assert!(missing.fails_with(1).contains("no such file or directory"), "{missing:?}");
    let own = run(Command::new(binary_dir().join("wharfd")).arg("--help"), None);
    assert!(own.ok().contains("/var/lib/wharf") && own.stdout.contains("Usage:  wharfd"), "{own:?}");
}

fn pid_of(engine: &Engine) -> String {
    engine.wharf(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "box"]).ok().to_owned()
}

#[test]
fn containers_outlive_an_engine_with_live_restore() {
    let mut engine = Engine::start_with(&["--live-restore"]);
    engine.import_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "box",
            "busybox",
            "sh",
            "-c",
            "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done",
        ])
        .ok();
    let before = pid_of(&engine);
    let process = format!("/proc/{}", before.split(' ').next().unwrap_or_default());
    engine.stop_daemon();
    std::thread::sleep(Duration::from_millis(200));
    assert!(std::path::Path::new(&process).exists(), "the container went with the engine");
    engine.start_daemon();
    assert_eq!(pid_of(&engine), before);
    assert_eq!(engine.wharf(&["exec", "box", "echo", "in"]).ok(), "in");
    let lines: Vec<u32> =
        engine.wharf(&["logs", "box"]).ok().lines().map(|line| line.parse().expect("a number")).collect();
    assert!(
        lines.iter().enumerate().all(|(at, line)| u32::try_from(at) == Ok(*line)),
        "lines are missing: {lines:?}"
    );
    engine.wharf(&["rm", "-f", "box"]).ok();
    assert!(!std::path::Path::new(&process).exists());
}

#[test]
fn without_it_they_are_stopped_in_order() {
    let mut engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "box",
            "busybox",
            "sh",
            "-c",
            "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done",
        ])
        .ok();
    while !engine.wharf(&["logs", "box"]).stdout.contains("up") {
        std::thread::sleep(Duration::from_millis(20));
    }
    engine.stop_daemon();
    engine.start_daemon();
    assert_eq!(
        engine.wharf(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"]).ok(),
        "exited 3"
    );
    assert_eq!(engine.wharf(&["logs", "box"]).ok(), "up\nbye");
}

/// A runtime that would not really be run is refused by its name, not replaced in silence.
#[test]
fn runtimes_are_what_their_names_say() {
    let ours = format!("ours={}", binary_dir().join("wharf-runtime").display());
    let engine = Engine::start_with(&["--add-runtime", "other=/usr/bin/crun", "--add-runtime", &ours]);
    engine.import_busybox();
    assert!(engine.log().contains("runtime other (/usr/bin/crun) cannot be used"), "{}", engine.log());
    let listed = engine.wharf(&["info", "-f", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}"]);
    assert_eq!(listed.ok(), "io.containerd.runc.v2 ours runc");
    for name in ["runc", "io.containerd.runc.v2", "ours"] {
        assert_eq!(engine.wharf(&["run", "--rm", "--runtime", name, "busybox", "echo", "ran"]).ok(), "ran");
    }
    let refused = |name: &str| engine.wharf(&["run", "--rm", "--runtime", name, "busybox", "true"]);
    let unknown = refused("nosuch");
    assert!(unknown.fails_with(125).contains("unknown or invalid runtime name: nosuch"), "{unknown:?}");
    let other = refused("other");
    let text =
        "runtime other (/usr/bin/crun) cannot be used: this engine runs containers with its own runtime only";
    assert!(other.fails_with(125).contains(text), "{other:?}");
    assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
}
