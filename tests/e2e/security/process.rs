//! Rows 1, 2, 8, 9, 10, 16, 28: what a process is given, and what it is not.

use std::collections::BTreeMap;

use testkit::{Engine, Terminal};

fn programs() -> BTreeMap<String, Vec<u8>> {
    ["wharf", "wharfd", "wharf-shim", "wharf-runtime"]
        .iter()
        .map(|name| {
            let bytes = std::fs::read(testkit::engine::binary_dir().join(name)).expect("read a program");
            ((*name).to_owned(), bytes)
        })
        .collect()
}

/// Row 1: a host program overwritten through /proc/PID/exe.
#[test]
fn row_01_no_container_reaches_a_program_of_the_host() {
    let engine = Engine::with_busybox();
    let before = programs();
    let attack = super::attacker::command(&engine, "reopen_programs", &[]);
    assert!(attack.ok().contains("attack over") && !attack.ok().contains("BROKEN"), "{attack:?}");
    engine.wharf(&["run", "-d", "--name", "victim", "busybox", "sh", "-c",
        "while :; do for p in /proc/[0-9]*/exe; do case $(readlink $p) in /bin/*) ;; *) (echo x >>$p) 2>/dev/null && echo BROKEN $p;; esac; done; done"]).ok();
    for _ in 0..30 {
        engine.wharf(&["exec", "victim", "true"]).ok();
    }
    assert_eq!(engine.wharf(&["logs", "victim"]).ok(), "");
    engine.wharf(&["rm", "-f", "victim"]).ok();
    let entry = engine.wharf(&["run", "--rm", "--entrypoint", "/proc/self/exe", "busybox", "--version"]);
    assert_ne!(entry.code, 0, "the runtime's own program is not to be run: {entry:?}");
    assert!(before == programs(), "a program of the host was changed");
}

/// Row 2: leaked descriptors, and a working directory outside the root.
#[test]
fn row_02_no_descriptor_and_no_directory_of_the_host_leaks() {
    let engine = Engine::with_busybox();
    let listed = super::attacker::command(&engine, "list_descriptors", &[]);
    let descriptors: Vec<&str> = listed.ok().lines().filter_map(|line| line.strip_prefix("fd ")).collect();
    let strange: Vec<&&str> = descriptors
        .iter()
        .filter(|line| {
            let (number, target) = line.split_once(' ').unwrap_or((line, ""));
            number.parse::<u32>().is_ok_and(|number| number > 2)
                && !target.starts_with("/proc/1/fd")
                && !target.starts_with("/proc")
                && !target.starts_with("pipe:")
                && !target.starts_with("anon_inode")
        })
        .collect();
    assert!(strange.is_empty(), "{descriptors:?}");
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    for number in 3..20 {
        let dir = format!("/proc/self/fd/{number}");
        for seen in [
            engine.wharf(&[
                "run",
                "--rm",
                "-w",
                &dir,
                "busybox",
                "sh",
                "-c",
                "ls ..; cat /proc/self/cwd/../etc/shadow",
            ]),
            engine.wharf(&[
                "exec",
                "-w",
                &dir,
                "box",
                "sh",
                "-c",
                "ls ../../../..; cat ../../../../etc/shadow",
            ]),
        ] {
            assert!(!seen.stdout.contains("root:"), "{dir}: {seen:?}");
            assert!(!seen.stdout.contains("boot"), "{dir}: {seen:?}");
        }
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Row 8: a number is never looked up as a name, and stays in range.
#[test]
fn row_08_user_strings_are_taken_strictly() {
    let engine = Engine::start();
    engine.import_changed_busybox("busybox", |tree| {
        let trap = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n007:x:0:0::/:/bin/sh\n";
        std::fs::write(tree.join("etc/passwd"), trap).expect("write passwd");
    });
    for (user, wanted) in
        [("0", "0"), ("1", "1"), ("1000", "1000"), ("2147483647", "2147483647"), ("root", "0")]
    {
        assert_eq!(engine.wharf(&["run", "--rm", "-u", user, "busybox", "id", "-u"]).ok(), wanted, "{user}");
    }
    for user in [
        "2147483648",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "-1",
        "1:-1",
        "1:4294967296",
        "a\nb",
    ] {
        let run = engine.wharf(&["run", "--rm", "-u", user, "busybox", "id", "-u"]);
        assert_eq!(run.code, 125, "{user:?}: {run:?}");
    }
}

/// Row 9: supplementary groups are set, always.
#[test]
fn row_09_groups_are_set_explicitly() {
    let engine = Engine::with_busybox();
    let groups = |options: &[&str]| {
        let mut words = vec!["run", "--rm"];
        words.extend(options);
        words.extend(["busybox", "sh", "-c", "grep Groups: /proc/self/status"]);
        engine.wharf(&words).ok().split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(groups(&[]), ["0", "10"]);
    assert_eq!(groups(&["-u", "1000"]), ["0"]);
    assert_eq!(groups(&["-u", "1000:2000"]), ["2000"]);
    assert_eq!(groups(&["-u", "1000:2000", "--group-add", "5"]), ["5", "2000"]);
    // A file closed to a group stays closed to its members.
    let script = "touch /f; chown 0:77 /f; chmod 604 /f; exec su -s /bin/sh nobody -c 'cat /f && echo read'";
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "sh", "-c", script]).ok(), "read");
}

/// Row 10: nothing inheritable or ambient, and exec gets no more than the container.
#[test]
fn row_10_capabilities_are_bounded() {
    let engine = Engine::with_busybox();
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "box",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "CHOWN",
            "busybox",
            "sleep",
            "600",
        ])
        .ok();
    let fields = |text: &str| -> BTreeMap<String, u64> {
        text.lines()
            .filter_map(|line| line.split_once(":\t"))
            .map(|(name, value)| (name.to_owned(), u64::from_str_radix(value, 16).expect("a set")))
            .collect()
    };
    let root = engine.wharf(&["exec", "box", "grep", "Cap", "/proc/self/status"]);
    let root = fields(root.ok());
    assert_eq!((root["CapEff"], root["CapBnd"], root["CapInh"], root["CapAmb"]), (1, 1, 0, 0));
    let other = engine.wharf(&["exec", "-u", "1000", "box", "grep", "Cap", "/proc/self/status"]);
    let other = fields(other.ok());
    assert_eq!((other["CapEff"], other["CapPrm"], other["CapInh"], other["CapAmb"]), (0, 0, 0, 0));
    engine.wharf(&["rm", "-f", "box"]).ok();
    let run = engine.wharf(&["run", "--rm", "-u", "1000", "busybox", "grep", "Cap", "/proc/self/status"]);
    let run = fields(run.ok());
    assert_eq!((run["CapEff"], run["CapPrm"], run["CapInh"], run["CapAmb"]), (0, 0, 0, 0));
}

/// Row 16: no control socket can be reached from a container.
#[test]
fn row_16_control_sockets_are_out_of_reach() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let seen = super::attacker::command(&engine, "list_abstract_sockets", &["--network", "host"]);
    let ours: Vec<&str> =
        seen.ok().lines().filter(|line| line.contains("wharf") || line.contains("shim")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let mut open = vec![engine.exec_root()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let metadata = entry.metadata().expect("look at a file");
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.file_type().is_socket() {
                assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", entry.path().display());
            }
        }
    }
    let gateway = engine.slot().bridge_address();
    let gateway = gateway.split('/').next().unwrap_or_default().to_owned();
    for port in ["2375", "2376", "2377", "4243"] {
        let scan = engine.wharf(&["run", "--rm", "busybox", "nc", "-w", "1", &gateway, port, "-e", "true"]);
        assert_ne!(scan.code, 0, "port {port} of the host answers");
    }
    engine.wharf(&["rm", "-f", "box"]).ok();
}

/// Row 28: a container cannot type into the terminal it was started from.
#[test]
fn row_28_a_terminal_is_the_containers_own() {
    let engine = Engine::with_busybox();
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--rm", "busybox", "sh"]));
    shell.wait_for("# ");
    shell.type_text("tty; stat -c %t,%T /dev/console; ls /dev/pts; readlink /proc/self/fd/0; echo done-$?\n");
    shell.wait_for("done-0");
    let screen = shell.screen();
    assert!(screen.contains("/dev/pts/0"), "{screen:?}");
    shell.type_text("exit\n");
    shell.exit_code();
    // A link where the console belongs is not followed.
    engine.import_changed_busybox("linked", |tree| {
        std::os::unix::fs::symlink("/etc/target", tree.join("dev/console")).expect("plant a link");
    });
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--rm", "linked", "sh"]));
    shell.wait_for("# ");
    shell.type_text("test ! -e /etc/target && test -c /dev/console && echo safe-$((1+1))\nexit\n");
    shell.wait_for("safe-2");
}
