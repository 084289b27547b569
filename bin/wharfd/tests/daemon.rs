//! The daemon as a process: flags and file, signals, pid file, second starts, open ports.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::Engine;
use testkit::http::get;

struct Output {
    code: Option<i32>,
    text: String,
}

fn wharfd(words: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_wharfd")).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Output { code: output.status.code(), text: String::from_utf8(text).unwrap() }
}

#[test]
fn configurations_are_validated() {
    let file = std::env::temp_dir().join(format!("wharfd-daemon-{}.json", std::process::id()));
    let path = file.to_str().unwrap();
    for (text, flags, code, expected) in [
        ("{}", &[][..], 0, "configuration OK"),
        ("", &[], 0, "configuration OK"),
        (r#"{"foo":1}"#, &[], 1, "the following directives don't match any configuration option: foo"),
        (
            r#"{"debug":true}"#,
            &["--debug"],
            1,
            "both as a flag and in the configuration file: debug: (from flag: true, from file: true)",
        ),
        (r#"{"debug":"x"}"#, &[], 1, "json: cannot unmarshal string into Go struct field"),
        ("{", &[], 1, "unexpected end of JSON input"),
        ("{}", &["--log-level", "foo"], 1, "invalid logging level: foo"),
        ("{}", &["--nope"], 125, "unknown flag: --nope"),
        ("{}", &["--mtu", "x"], 125, "invalid argument \"x\" for \"--mtu\" flag"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut words = vec!["--validate", "--config-file", path];
        words.extend_from_slice(flags);
        let output = wharfd(&words);
        assert_eq!(output.code, Some(code), "{text} {flags:?}: {}", output.text);
        assert!(output.text.contains(expected), "{text} {flags:?}: {}", output.text);
    }
    std::fs::remove_file(file).unwrap();
    assert!(wharfd(&["--version"]).text.starts_with("wharf version "));
    assert!(wharfd(&["--help"]).text.contains("--data-root"));
}

#[test]
fn a_second_engine_on_the_same_roots_is_refused() {
    let engine = Engine::start();
    let (data, exec) = (engine.data_root(), engine.exec_root());
    let pidfile = engine.root().join("second.pid");
    let words = [
        "--config-file",
        "/dev/null",
        "--data-root",
        data.to_str().unwrap(),
        "--exec-root",
        exec.to_str().unwrap(),
        "--pidfile",
        pidfile.to_str().unwrap(),
        "-H",
        &engine.host(),
    ];
    let refused = wharfd(&words);
    assert_eq!(refused.code, Some(1), "{}", refused.text);
    assert!(refused.text.contains("another engine runs on"), "{}", refused.text);
    let on_demand = wharfd(&[&words[..], &["--on-demand"]].concat());
    assert_eq!(on_demand.code, Some(0), "{}", on_demand.text);
    assert_eq!(get(&engine.socket_path(), "/_ping").unwrap().status, 200);
}

#[test]
fn sockets_and_pid_files_come_and_go() {
    let mut engine = Engine::start();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&engine.socket_path()), 0o660);
    let pidfile = engine.root().join("wharfd.pid");
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap(), engine.daemon_pid().to_string());
    engine.kill_daemon();
    assert!(engine.socket_path().exists() && pidfile.exists());
    engine.start_daemon();
    engine.stop_daemon();
    assert!(!engine.socket_path().exists() && !pidfile.exists(), "{}", engine.log());
}

#[test]
fn open_ports_need_to_be_insisted_on() {
    let engine = Engine::start_with(&["-H", "tcp://127.0.0.1:0"]);
    assert!(engine.log().contains("accessible on http://127.0.0.1"), "{}", engine.log());
    let root = engine.root().join("other");
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let refused = wharfd(&[
        "--config-file",
        "/dev/null",
        "--data-root",
        &path("data"),
        "--exec-root",
        &path("exec"),
        "--pidfile",
        &path("pid"),
        "-H",
        "tcp://0.0.0.0:0",
    ]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.text.contains("refusing to listen on tcp://0.0.0.0:0"), "{}", refused.text);
}

#[test]
fn a_hangup_reloads_the_file() {
    let folder = std::env::temp_dir().join(format!("wharfd-reload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("daemon.json");
    std::fs::write(&file, r#"{"labels":["a=1"]}"#).unwrap();
    let engine = Engine::start_with(&["--config-file", file.to_str().unwrap()]);
    let labels = || get(&engine.socket_path(), "/info").unwrap().json()["Labels"].clone();
    assert_eq!(labels(), serde_json::json!(["a=1"]));
    let hangup = || testkit::engine::signal(engine.daemon_pid(), rustix::process::Signal::HUP);
    std::fs::write(&file, r#"{"labels":["a=2"]}"#).unwrap();
    hangup();
    let start = Instant::now();
    while labels() != serde_json::json!(["a=2"]) {
        assert!(start.elapsed() < Duration::from_secs(5), "{}", engine.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(&file, r#"{"nonsense":1}"#).unwrap();
    hangup();
    let start = Instant::now();
    while !engine.log().contains("don't match any configuration option: nonsense") {
        assert!(start.elapsed() < Duration::from_secs(5), "{}", engine.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(labels(), serde_json::json!(["a=2"]));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_idle_engine_sleeps() {
    // In a network of its own: the kernel tells of every change of the firewall, those of other tests' engines too.
    let mut engine = Engine::prepare(&[]);
    engine.start_through(&["unshare", "--net"]);
    engine.start_daemon();
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", engine.daemon_pid())).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok())
            .map(|status| {
                let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
                line.unwrap().trim().parse::<u64>().unwrap()
            })
            .sum()
    };
    // What the start left to do ends at some moment, later on a busy machine; whatever wakes up again and again does not.
    let quiet = || {
        let before = switches();
        std::thread::sleep(Duration::from_secs(2));
        switches() == before
    };
    assert!((0..6).any(|_| quiet()), "an idle engine went on waking up");
}
