//! `exec`: another process in a running container.

use conformance::Bundle;
use serde_json::json;

fn running() -> Bundle {
    let bundle = Bundle::new();
    bundle.up();
    bundle
}

#[test]
fn exit_status_and_output() {
    let bundle = running();
    assert_eq!(bundle.exec("echo out; echo err >&2").ok(), "out");
    for code in [0, 1, 42, 255] {
        assert_eq!(bundle.exec(&format!("exit {code}")).code, code);
    }
    assert_eq!(bundle.exec("kill -9 $$").code, 137);
}

#[test]
fn it_is_in_the_container() {
    let bundle = running();
    let pid = bundle.state()["pid"].to_string();
    for link in ["pid", "net", "ipc", "uts", "mnt"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{link}"))
            .expect("read")
            .to_string_lossy()
            .into_owned();
        assert_eq!(bundle.exec(&format!("readlink /proc/self/ns/{link}")).ok(), theirs);
    }
    let theirs = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("read");
    assert_eq!(bundle.exec("cat /proc/self/cgroup").ok(), theirs.trim_end());
}

#[test]
fn options() {
    let bundle = running();
    let exec = |options: &[&str], script: &str| {
        let mut arguments = vec!["exec"];
        arguments.extend(options);
        arguments.extend([bundle.id.as_str(), "sh", "-c", script]);
        bundle.runtime(&arguments).ok()
    };
    assert_eq!(exec(&["--cwd", "/tmp"], "pwd"), "/tmp");
    assert_eq!(exec(&["--env", "A=b", "--env", "C=d"], "echo $A$C"), "bd");
    assert_eq!(exec(&["--user", "1000:1001"], "id -u; id -g"), "1000\n1001");
    assert_eq!(exec(&["--additional-gids", "3000"], "id -G | grep -c 3000"), "1");
    let out = exec(&["--cap", "CAP_SYS_TIME"], "grep CapEff /proc/self/status");
    assert!(out.ends_with("22000420") || out.contains("2000420"), "{out}");
}

#[test]
fn a_process_document() {
    let bundle = running();
    let process = json!({
        "terminal": false, "user": {"uid": 1000, "gid": 1000}, "args": ["sh", "-c", "id -u; pwd; echo $X"],
        "env": ["PATH=/bin", "X=y"], "cwd": "/tmp"
    });
    let file = bundle.path.join("process.json");
    std::fs::write(&file, process.to_string()).expect("write");
    let ended = bundle.runtime(&["exec", "--process", &file.to_string_lossy(), &bundle.id]);
    assert_eq!(ended.ok(), "1000\n/tmp\ny");
}

#[test]
fn detached_with_a_pid_file() {
    let bundle = running();
    let file = bundle.path.join("exec-pid");
    // Not with pipes, which the process would keep open.
    let detached = bundle
        .command(&["exec", "--detach", "--pid-file", &file.to_string_lossy(), &bundle.id, "sleep", "500"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(detached.expect("run the runtime").success());
    let pid = std::fs::read_to_string(file).expect("read");
    let command = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).expect("read");
    assert_eq!(String::from_utf8_lossy(&command), "sleep\u{0}500\u{0}");
}

#[test]
fn what_is_not_there_gives_an_error() {
    let bundle = running();
    let missing = bundle.runtime(&["exec", &bundle.id, "no-such-program"]);
    assert_ne!(missing.code, 0);
    assert!(missing.err.contains("no-such-program"), "{missing:?}");
    let bundle = Bundle::new();
    bundle.exec("true").fails();
    bundle.up();
    bundle.kill("KILL").ok();
    bundle.wait_for("stopped");
    bundle.exec("true").fails();
}

#[test]
fn no_descriptor_but_the_three() {
    assert_eq!(running().exec("ls /proc/self/fd | tr '\\n' ' '").ok(), "0 1 2 3");
}

#[test]
fn rights_are_those_of_the_container() {
    let bundle = running();
    let status = bundle.exec("grep '^CapEff\\|^CapBnd\\|^NoNewPrivs' /proc/self/status | tr '\\t' ' '").ok();
    for line in ["CapEff: 0000000020000420", "CapBnd: 0000000020000420", "NoNewPrivs: 1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}
