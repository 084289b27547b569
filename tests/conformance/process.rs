//! `process`: who runs what, with which rights and limits.

use conformance::{Bundle, needs};
use serde_json::json;

#[track_caller]
fn prints(bundle: &Bundle, expected: &str) {
    assert_eq!(bundle.run().ok(), expected);
}

#[test]
fn arguments_environment_and_directory() {
    let bundle = Bundle::new().with("/process/args", json!(["printf", "%s|", "a b", "", "c\"d"]));
    prints(&bundle, "a b||c\"d|");
    let bundle = Bundle::new()
        .with("/process/args", json!(["env"]))
        .with("/process/env", json!(["PATH=/bin", "A=b=c", "E="]));
    let out = bundle.run().ok();
    for line in ["PATH=/bin", "A=b=c", "E="] {
        assert!(out.lines().any(|have| have == line), "{line}: {out}");
    }
    prints(&Bundle::script("pwd").with("/process/cwd", json!("/tmp")), "/tmp");
}

#[test]
fn programs_are_found_by_the_containers_path() {
    let mut bundle =
        Bundle::new().with("/process/args", json!(["tool"])).with("/process/env", json!(["PATH=/opt:/bin"]));
    std::fs::create_dir(bundle.root("opt")).expect("make a directory");
    testkit::image::write_program(&bundle.root("opt/tool"), "#!/bin/sh\necho found\n");
    prints(&bundle, "found");
    bundle.set("/process/env", json!(["PATH=/bin"]));
    bundle.run().fails();
}

#[test]
fn users_and_groups() {
    let user = json!({"uid": 1000, "gid": 1001, "additionalGids": [2000, 3000]});
    let bundle = Bundle::script("id -u; id -g; id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '")
        .with("/process/user", user);
    prints(&bundle, "1000\n1001\n1001 2000 3000");
    let bundle = Bundle::script("umask").with("/process/user", json!({"uid": 0, "gid": 0, "umask": 0o027}));
    prints(&bundle, "0027");
}

#[test]
fn a_home_directory_is_set_for_the_user() {
    let bundle = Bundle::script("echo $HOME").with("/process/user", json!({"uid": 1000, "gid": 1000}));
    prints(&bundle, "/tmp");
}

const STATUS: &str = "grep '^Cap\\|^NoNewPrivs' /proc/self/status | tr '\\t' ' '";

#[test]
fn capability_sets() {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"]
    });
    let bundle = Bundle::script(STATUS)
        .with("/process/capabilities", sets.clone())
        .with("/process/user", json!({"uid": 1000, "gid": 1000}));
    // Of a user only the ambient capabilities survive the exec.
    let out = bundle.run().ok();
    for line in [
        "CapInh: 0000000000000020",
        "CapPrm: 0000000000000020",
        "CapEff: 0000000000000020",
        "CapBnd: 0000000000002021",
        "CapAmb: 0000000000000020",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let none = json!({"bounding": [], "permitted": [], "effective": [], "inheritable": [], "ambient": []});
    let out = Bundle::script(STATUS).with("/process/capabilities", none).run().ok();
    for line in ["CapPrm: 0000000000000000", "CapEff: 0000000000000000", "CapBnd: 0000000000000000"] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn root_has_what_is_bounded() {
    let out = Bundle::script(STATUS).run().ok();
    for line in ["CapPrm: 0000000020000420", "CapEff: 0000000020000420", "CapBnd: 0000000020000420"] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn unknown_capabilities_do_not_stop_a_container() {
    let bundle =
        Bundle::script("echo ok").push("/process/capabilities/bounding", json!("CAP_FROM_THE_FUTURE"));
    prints(&bundle, "ok");
}

#[test]
fn new_privileges() {
    for (value, expected) in [(true, "NoNewPrivs: 1"), (false, "NoNewPrivs: 0")] {
        let out = Bundle::script(STATUS).with("/process/noNewPrivileges", json!(value)).run().ok();
        assert!(out.contains(expected), "{out}");
    }
}

#[test]
fn resource_limits() {
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_FSIZE", "soft": 4096, "hard": 8192}
    ]);
    let script = "ulimit -Sn; ulimit -Hn; ulimit -c; grep 'Max file size' /proc/self/limits | tr -s ' '";
    prints(
        &Bundle::script(script).with("/process/rlimits", limits),
        "100\n200\n0\nMax file size 4096 8192 bytes",
    );
}

#[test]
fn repeated_resource_limits_are_refused() {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}, {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]);
    if needs("this check") {
        Bundle::new().with("/process/rlimits", limits).create().fails();
    }
}

#[test]
fn the_killers_choice() {
    let own: i64 =
        std::fs::read_to_string("/proc/self/oom_score_adj").expect("read").trim().parse().expect("a number");
    let wanted = own.max(0) + 100;
    let bundle = Bundle::script("cat /proc/self/oom_score_adj").with("/process/oomScoreAdj", json!(wanted));
    prints(&bundle, &wanted.to_string());
}

#[test]
fn standard_input_goes_through() {
    use std::io::Write as _;
    let bundle = Bundle::script("cat; echo end");
    bundle.write();
    let mut child = bundle
        .command(&["run", "--bundle"])
        .arg(&bundle.path)
        .arg(&bundle.id)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("run");
    child.stdin.take().expect("a pipe").write_all(b"some text\n").expect("write");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "some text\nend\n");
}

#[test]
fn no_descriptor_but_the_three() {
    let bundle = Bundle::script("ls /proc/self/fd | tr '\\n' ' '");
    // ls has one open itself: the directory.
    prints(&bundle, "0 1 2 3");
}

#[test]
fn scheduling() {
    if !needs("scheduler and ioPriority") {
        return;
    }
    let bundle = Bundle::script("cut -d' ' -f41 /proc/self/stat; ionice")
        .with("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3}));
    let bundle = bundle.with("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    prints(&bundle, "3\nbest-effort: prio 6");
}

#[test]
fn a_terminal_is_handed_over() {
    use std::io::IoSliceMut;
    let bundle = Bundle::script(
        "tty; stty size; readlink /proc/self/fd/0; ls -l /dev/console | cut -c1; echo done; sleep 1000",
    )
    .with("/process/terminal", json!(true))
    .with("/process/consoleSize", json!({"height": 33, "width": 99}));
    let socket = bundle.path.join("console.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("listen");
    bundle.create_with(&["--console-socket", &socket.to_string_lossy()]).ok();
    let (stream, _) = listener.accept().expect("accept");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0u8; 256];
    let flags = rustix::net::RecvFlags::empty();
    let read = rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, flags)
        .expect("receive");
    assert!(read.bytes > 0);
    let terminal = control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let terminal = terminal.expect("a descriptor");
    assert!(rustix::termios::isatty(&terminal));
    bundle.start().ok();
    let mut text = String::new();
    while !text.contains("done") {
        let mut part = [0u8; 512];
        let length = rustix::io::read(&terminal, &mut part[..]).expect("read the terminal");
        text.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("/dev/pts/") || lines[0] == "/dev/console", "{text}");
    assert_eq!((lines[1], lines[3]), ("33 99", "c"), "{text}");
}
