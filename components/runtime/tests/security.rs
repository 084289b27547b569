//! Attacks on the runtime: each test is a row of the security checklist and is never removed.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use linux::pidfd::Exit;
use linux::root::RootDir;
use oci::runtime::{Process, Spec};
use rustix::fs::RenameFlags;
use support::{Bundle, exec, mount, process, with_user};

/// A tree of files that must not change: path to content and mode.
fn snapshot(path: &Path) -> BTreeMap<String, (Vec<u8>, u32, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            }
            let content = if meta.is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
            found.insert(entry.path().display().to_string(), (content, meta.mode(), meta.dev()));
        }
    }
    found
}

/// Files of the "host" that an escape would reach.
fn canary(bundle: &Bundle) -> std::path::PathBuf {
    let path = bundle.path.join("canary");
    for directory in ["dev", "proc", "sys", "etc", "pts"] {
        std::fs::create_dir_all(path.join(directory)).unwrap();
        std::fs::write(path.join(directory).join("file"), "untouched").unwrap();
    }
    path
}

/// The standalone program, built beside the tests.
fn program() -> std::path::PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join("wharf-runtime");
    if !path.exists() {
        let status =
            Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "wharf-runtime"]).status();
        assert!(status.unwrap().success());
    }
    path
}

/// Runs the copy of the program on a bundle. Another test's new process may hold the copy open for writing for a moment.
fn run_copy(copy: &Path, bundle: &Bundle) -> std::process::Output {
    loop {
        let mut command = Command::new(copy);
        command
            .arg("--root")
            .arg(bundle.path.join("state"))
            .args(["run", "-b"])
            .arg(&bundle.path)
            .arg(&bundle.id);
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            result => return result.unwrap(),
        }
    }
}

/// Writes a bundle's configuration for the program, with a cgroup that is the container's alone and goes with it.
fn configure(bundle: &Bundle, mut spec: Spec) {
    spec.linux.get_or_insert_default().cgroups_path = format!("/{}", bundle.id);
    std::fs::write(bundle.path.join("config.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
}

/// Row 1: neither the program itself nor what /proc/self/exe leads to can be written.
#[test]
fn row_01_the_runtime_cannot_be_overwritten() {
    let bundle = Bundle::new();
    let copy = bundle.path.join("runtime-copy");
    std::fs::copy(program(), &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    // The command is the runtime itself, run inside the container: it then tries to write to what it runs from.
    let attack = "exec 3<>/proc/self/exe; for i in 1 2 3 4 5 6 7 8; do (echo overwritten > /proc/1/exe) 2>/dev/null && echo WRITTEN; done; true";
    for script in [attack, "true"] {
        let mut spec = bundle.spec(script);
        spec.root.as_mut().unwrap().path = "rootfs".into();
        configure(&bundle, spec);
        let output = run_copy(&copy, &bundle);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("WRITTEN"), "{output:?}");
    }
    // Executing the link itself runs the runtime again, from its protected copy.
    let mut spec = bundle.spec("");
    spec.process.as_mut().unwrap().args = vec!["/proc/self/exe".into(), "--version".into()];
    configure(&bundle, spec);
    let _ = run_copy(&copy, &bundle);
    assert!(std::fs::read(&copy).unwrap() == before, "the program changed");
}

/// Row 2: no descriptor of the host is left, in the first process or in added ones.
#[test]
fn row_02_no_descriptor_leaks() {
    let bundle = Bundle::new();
    let secret = std::fs::File::open("/etc").unwrap();
    // As careless as a caller can be: inheritable.
    linux::descriptor::place_in_child(secret.as_fd(), 97).unwrap();
    let list = "for i in /proc/self/fd/*; do echo ${i##*/}; done | tr '\\n' ' '";
    let (text, _) = bundle.run(bundle.spec(list));
    // 3 is the directory the shell reads.
    assert_eq!(text.trim(), "0 1 2 3");
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    assert_eq!(exec(&created, process(&["sh", "-c", list])).unwrap().0.trim(), "0 1 2 3");
    // The waiting process of a created container has nothing of the host either: streams and channel.
    let other = Bundle::new();
    let waiting = runtime::create(other.request(other.spec("true"))).unwrap();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", waiting.pid)).unwrap().flatten() {
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = std::fs::read_link(entry.path()).unwrap();
        assert!(number < 3 || target.to_string_lossy().starts_with("socket:"), "{number} {target:?}");
    }
    support::end(waiting);
    support::end(created);
    drop(linux::descriptor::inherited(97).unwrap());
}

/// Row 2: the working directory cannot be a directory of the host reached through a descriptor.
#[test]
fn row_02_the_working_directory_is_inside() {
    let bundle = Bundle::new();
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    for number in 0..40 {
        for path in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/self/fd/{number}/../.."),
            format!("/proc/self/fd/{number}/etc"),
        ] {
            let mut spec = bundle.spec("readlink /proc/self/cwd; test -e /../../../work && echo OUT; ls ..");
            spec.process.as_mut().unwrap().cwd = path.clone();
            let mut request = bundle.request(spec);
            let output = support::Output::new();
            request.stdio = output.stdio();
            request.cgroup = None;
            if let Ok(mut made) = runtime::create(request) {
                made.start().unwrap();
                let (text, _) = bundle.finish(made, output);
                assert!(
                    text.starts_with('/') && !text.contains("OUT") && !text.contains("unreachable"),
                    "{path}: {text}"
                );
            }
            let added =
                exec(&created, Process { cwd: path.clone(), ..process(&["readlink", "/proc/self/cwd"]) });
            if let Ok((text, _)) = added {
                assert!(text.starts_with('/') && !text.contains("unreachable"), "{path}: {text}");
            }
        }
    }
    // A link of the image that leads there is no way either.
    symlink("/proc/self/fd/7", bundle.root().join("seven")).unwrap();
    let added = exec(&created, Process { cwd: "/seven".into(), ..process(&["true"]) });
    assert!(added.unwrap_err().contains("chdir to cwd"));
    support::end(created);
}

/// Row 2: a process that enters cannot be traced or looked into by those inside.
#[test]
fn row_02_entering_processes_cannot_be_traced() {
    let bundle = Bundle::new();
    // Only what succeeds while the process is still a copy of this test, before and after, counts.
    let script = "ours() { cat $p/cmdline 2>/dev/null | grep -q -a security-; }; \
                  look() { ours && eval \"$2\" && ours && echo $1; }; \
                  while true; do for p in /proc/[0-9]*; do test $p = /proc/1 && continue; ours || continue; \
                  look root 'readlink $p/root >/dev/null 2>&1'; look exe 'readlink $p/exe >/dev/null 2>&1'; \
                  look mem 'head -c 1 $p/mem >/dev/null 2>&1'; look environ 'head -c 1 $p/environ 2>/dev/null | grep -q .'; \
                  look fd 'readlink $p/fd/3 >/dev/null 2>&1'; done; done";
    let mut spec = bundle.spec(script);
    let sets = spec.process.as_mut().unwrap().capabilities.as_mut().unwrap();
    sets.bounding.retain(|name| name != "CAP_SYS_PTRACE");
    let mut request = bundle.request(spec);
    let output = support::Output::new();
    request.stdio = output.stdio();
    let mut created = runtime::create(request).unwrap();
    created.start().unwrap();
    for _ in 0..100 {
        exec(&created, process(&["true"])).unwrap();
    }
    linux::pidfd::send_signal(created.pidfd.as_fd(), 9).unwrap();
    let (text, _) = bundle.finish(created, output);
    assert_eq!(text, "");
}

fn with_links(bundle: &Bundle, links: &[(&str, &str)]) {
    for (name, target) in links {
        let path = bundle.root().join(name);
        let _ = std::fs::remove_dir_all(&path);
        let _ = std::fs::remove_file(&path);
        symlink(target, path).unwrap();
    }
}

/// Row 3: an image whose mount targets are links to the host. Links in the place of /proc and /sys stop the start.
#[test]
fn row_03_links_in_the_image_stay_in_the_image() {
    for depth in ["", "../../../../../../../../.."] {
        let bundle = Bundle::new();
        let canary = canary(&bundle);
        let before = snapshot(&canary);
        let to = |name: &str| format!("{depth}{}", canary.join(name).display());
        with_links(&bundle, &[("dev", &to("dev"))]);
        symlink(to("etc"), bundle.root().join("volume")).unwrap();
        let mut spec = bundle.spec("ls /dev/null /proc/self/status /volume/passwd");
        spec.mounts.push(mount("bind", "/etc", "/volume", &["rbind", "ro"]));
        let (text, exit) = bundle.run(spec);
        assert_eq!(exit, Exit::Code(0), "{text}");
        for name in ["proc", "sys"] {
            let bundle = Bundle::new();
            with_links(&bundle, &[(name, &to(name))]);
            let error = bundle.error(bundle.spec("true"));
            assert!(error.contains("too many levels of symbolic links"), "{error}");
        }
        assert_eq!(snapshot(&canary), before);
    }
}

/// Row 3: a bare root (no mount on /dev) whose device nodes are links or other files.
#[test]
fn row_03_devices_replace_what_an_image_has_in_their_place() {
    let bundle = Bundle::new();
    let canary = canary(&bundle);
    let before = snapshot(&canary);
    let target = canary.join("dev/file");
    for name in ["null", "zero", "full", "random", "tty", "console", "ptmx", "fd", "stdin"] {
        symlink(&target, bundle.root().join("dev").join(name)).unwrap();
    }
    std::fs::write(bundle.root().join("dev/urandom"), "not random").unwrap();
    let mut spec = bundle.spec("for i in null zero full random urandom tty; do stat -c %F /dev/$i; done; echo x > /dev/null; readlink /dev/fd");
    spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    let (text, _) = bundle.run(spec);
    assert_eq!(text, "character special file\n".repeat(6) + "/proc/self/fd\n");
    assert_eq!(snapshot(&canary), before);
}

/// Row 3: somebody exchanges a directory and a link to the host while containers mount on it.
#[test]
fn row_03_exchanged_targets_never_lead_out() {
    let bundle = Bundle::new();
    let canary = canary(&bundle);
    let volume = bundle.path.join("volume");
    std::fs::create_dir_all(volume.join("target")).unwrap();
    symlink(format!("../../../../../../../..{}", canary.join("etc").display()), volume.join("link")).unwrap();
    let before = snapshot(&canary);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let directory = RootDir::open(&volume).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(
                    &directory,
                    c"target",
                    &directory,
                    c"link",
                    RenameFlags::EXCHANGE,
                );
            }
        });
        for _ in 0..rounds() {
            let mut spec = bundle.spec("touch /volume/target/made/escaped 2>/dev/null; true");
            spec.mounts.push(mount("bind", volume.to_str().unwrap(), "/volume", &["rbind"]));
            spec.mounts.push(mount("tmpfs", "tmpfs", "/volume/target/made", &[]));
            let mut request = bundle.request(spec);
            request.cgroup = None;
            request.stdio = support::Output::new().stdio();
            if let Ok(mut created) = runtime::create(request) {
                let _ = created.start();
                support::end(created);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(snapshot(&canary), before);
}

/// How often racing attackers are tried; WHARF_TEST_ROUNDS=10000 for a long run.
fn rounds() -> usize {
    std::env::var("WHARF_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200)
}

/// Row 4: kernel parameters are written to a proc file system of the runtime's own, whatever is mounted on /proc.
#[test]
fn row_04_a_fake_proc_gets_no_writes() {
    let bundle = Bundle::new();
    let fake = bundle.path.join("fake");
    std::fs::create_dir_all(fake.join("sys/net/ipv4")).unwrap();
    std::fs::create_dir_all(fake.join("self/attr")).unwrap();
    std::fs::write(fake.join("sys/net/ipv4/ip_forward"), "canary").unwrap();
    let add = |spec: &mut Spec, at: &Path, target: &str| {
        spec.mounts.push(mount("bind", at.to_str().unwrap(), target, &["rbind"]));
        let linux = spec.linux.as_mut().unwrap();
        linux.sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
        linux.readonly_paths.clear();
    };
    for (target, at, reason) in
        [("/proc", fake.clone(), "not of type proc"), ("/proc/sys", fake.join("sys"), "inside /proc")]
    {
        let mut spec = bundle.spec("true");
        add(&mut spec, &at, target);
        assert!(bundle.error(spec).contains(reason), "{target}");
    }
    // The same place under another name: the container sees what was mounted, the runtime does not.
    symlink("/proc", bundle.root().join("p")).unwrap();
    let mut spec = bundle.spec("cat /proc/sys/net/ipv4/ip_forward");
    add(&mut spec, &fake.join("sys"), "/p/sys");
    assert_eq!(bundle.run(spec).0, "canary");
}

/// Row 4: a label that cannot be applied, or a mask that cannot be verified, stops the start.
#[test]
fn row_04_labels_and_masks_that_fail_stop_the_start() {
    let bundle = Bundle::new();
    let mut spec = bundle.spec("true");
    spec.process.as_mut().unwrap().apparmor_profile = "unconfined-but-not-there".into();
    assert!(bundle.error(spec).contains("setting security label"));
    // The null device that files are covered with is something else.
    let fake = bundle.path.join("fake-dev");
    std::fs::create_dir_all(&fake).unwrap();
    std::fs::write(fake.join("null"), "readable").unwrap();
    let mut spec = bundle.spec("cat /proc/keys");
    spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    spec.mounts.push(mount("bind", fake.to_str().unwrap(), "/dev", &["rbind"]));
    assert!(bundle.error(spec.clone()).contains("masking path"));
    std::fs::remove_file(fake.join("null")).unwrap();
    symlink("/proc/keys", fake.join("null")).unwrap();
    assert!(bundle.error(spec).contains("masking path"));
}

/// Row 8: ids are numbers in their range, nothing else.
#[test]
fn row_08_ids_are_strict() {
    for (id, fits) in [
        ("0", true),
        ("4294967294", true),
        ("4294967295", true),
        ("4294967296", false),
        ("-1", false),
        ("1e3", false),
        ("\"0\"", false),
        ("0x0", false),
    ] {
        let text = format!(r#"{{"process":{{"cwd":"/","args":["true"],"user":{{"uid":{id},"gid":0}}}}}}"#);
        assert_eq!(serde_json::from_str::<Spec>(&text).is_ok(), fits, "{id}");
    }
    // The highest number means "leave it" to the kernel: it must not mean "stay root".
    let bundle = Bundle::new();
    for spec in [
        with_user(bundle.spec("id"), u32::MAX, 0, &[]),
        with_user(bundle.spec("id"), 0, u32::MAX, &[]),
        with_user(bundle.spec("id"), 0, 0, &[u32::MAX]),
    ] {
        assert_eq!(bundle.error(spec), "invalid user or group id 4294967295");
    }
}

/// Row 9: the groups are exactly those asked for, with the primary one among them.
#[test]
fn row_09_groups_are_explicit() {
    let bundle = Bundle::new();
    // A file that denies group 1000 something others may do.
    let path = bundle.root().join("denied");
    std::fs::write(&path, "secret").unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(1000)).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o604)).unwrap();
    let script = "id -G; cat /denied 2>/dev/null || echo denied";
    for (gid, additional, expected) in
        [(1000, &[][..], "1000\ndenied\n"), (5, &[1000], "5 1000\ndenied\n"), (5, &[], "5\nsecret")]
    {
        let mut spec = with_user(bundle.spec(script), 1000, gid, additional);
        spec.process.as_mut().unwrap().capabilities = None;
        assert_eq!(bundle.run(spec).0, expected);
    }
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    let mut added = process(&["id", "-G"]);
    (added.user.uid, added.user.gid) = (1000, 1000);
    assert_eq!(exec(&created, added).unwrap().0, "1000\n");
    support::end(created);
}

/// Row 10: nothing inheritable or ambient unless asked, and an added process never has more than it was given.
#[test]
fn row_10_capability_sets_are_empty_unless_asked() {
    let bundle = Bundle::new();
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    for uid in [0, 1000] {
        let mut added = process(&["grep", "-E", "^Cap(Inh|Amb|Bnd)", "/proc/self/status"]);
        added.user.uid = uid;
        let (text, _) = exec(&created, added).unwrap();
        assert_eq!(
            text, "CapInh:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n",
            "{uid}"
        );
        let none = Process {
            capabilities: None,
            ..process(&["grep", "-E", "^Cap(Prm|Eff|Bnd)", "/proc/self/status"])
        };
        let (text, _) = exec(&created, none).unwrap();
        assert_eq!(text, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n");
    }
    support::end(created);
}

/// Row 10: what is kept to install a filter is gone in the command.
#[test]
fn row_10_the_filters_privilege_does_not_survive() {
    let bundle = Bundle::new();
    for uid in [0, 1000] {
        let mut spec =
            with_user(bundle.spec("grep -E '^(CapEff|Seccomp:)' /proc/self/status"), uid, uid, &[]);
        let sets = spec.process.as_mut().unwrap().capabilities.as_mut().unwrap();
        if uid != 0 {
            (sets.effective, sets.permitted) = (Vec::new(), Vec::new());
        }
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}"#;
        spec.linux.as_mut().unwrap().seccomp = Some(serde_json::from_str(text).unwrap());
        let expected = if uid == 0 { "CapEff:\t00000000a80425fb\n" } else { "CapEff:\t0000000000000000\n" };
        assert_eq!(bundle.run(spec).0, format!("{expected}Seccomp:\t2\n"), "{uid}");
    }
}

/// Row 11: nothing below the cgroup mount can be written.
#[test]
fn row_11_cgroups_are_read_only() {
    let bundle = Bundle::new();
    let script = "for f in $(find /sys/fs/cgroup -type f 2>/dev/null); do (echo 1 >> $f) 2>/dev/null && echo WRITABLE $f; done; \
                  for d in $(find /sys/fs/cgroup -type d 2>/dev/null); do mkdir $d/x 2>/dev/null && echo MADE $d; done; echo done";
    symlink("busybox", bundle.root().join("bin/find")).unwrap();
    assert_eq!(bundle.run(bundle.spec(script)).0, "done\n");
}

/// Row 13: parameters outside of the container's own namespaces are refused, however they are written.
#[test]
fn row_13_parameters_cannot_be_smuggled() {
    let bundle = Bundle::new();
    for key in [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "net.ipv4/../../kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net.ipv4.ip_forward\n",
        "net..",
        "vm.overcommit_memory",
        "kernel.shmmax+x",
        "fs.mqueue./../../kernel/core_pattern",
    ] {
        let mut spec = bundle.spec("true");
        spec.linux.as_mut().unwrap().sysctl.insert(key.into(), "|/x".into());
        let error = bundle.error(spec);
        assert!(
            error.contains("separate kernel namespace") || error.contains("writing sysctl"),
            "{key}: {error}"
        );
    }
}

/// Row 15: a container's passwd file is read as data, whatever it is.
#[test]
fn row_15_passwd_is_only_ever_read_as_a_file() {
    let bundle = Bundle::new();
    let path = bundle.root().join("etc/passwd");
    let run = |expected: &str| assert_eq!(bundle.run(bundle.spec("echo $HOME")).0, format!("{expected}\n"));
    std::fs::write(bundle.path.join("outside"), "root:x:0:0::/stolen:\n").unwrap();
    for target in ["../../outside", "/proc/self/fd/0", "/dev/zero"] {
        std::fs::remove_file(&path).unwrap();
        symlink(target, &path).unwrap();
        run("/");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    run("/");
    std::fs::remove_file(&path).unwrap();
    // Endless: sparse, without a line end.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    run("/");
    std::fs::write(&path, "root:x:0:0::relative:\nroot:x:0:0::/real:\n").unwrap();
    run("/");
}

/// Row 28: the terminal is of the container's devpts, in a session of its own, and a link at its place is replaced.
#[test]
fn row_28_terminals_cannot_be_tricked() {
    let bundle = Bundle::new();
    let canary = canary(&bundle);
    let before = snapshot(&canary);
    let run = |change: &dyn Fn(&mut Spec)| {
        let mut spec =
            bundle.spec("tty; cut -d' ' -f 6 /proc/self/stat 2>/dev/null; stat -c %F /dev/console");
        spec.process.as_mut().unwrap().terminal = true;
        change(&mut spec);
        let mut request = bundle.request(spec);
        request.stdio = runtime::Stdio::Terminal { rows: 24, columns: 80 };
        runtime::create(request).map(|mut created| {
            let master = created.pty_master.take().unwrap();
            created.start().unwrap();
            let mut text = Vec::new();
            let _ = std::io::Read::read_to_end(&mut std::fs::File::from(master), &mut text);
            support::end(created);
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    symlink(canary.join("dev/file"), bundle.root().join("dev/console")).unwrap();
    symlink("busybox", bundle.root().join("bin/cut")).unwrap();
    assert_eq!(run(&|_| {}).unwrap(), "/dev/pts/0\r\n1\r\ncharacter special file\r\n");
    // The image's own directory is /dev, and the console is a link to the host.
    let bare = |spec: &mut Spec| {
        spec.mounts.retain(|mount| {
            mount.destination != "/dev"
                && mount.destination != "/dev/shm"
                && mount.destination != "/dev/mqueue"
        })
    };
    std::fs::create_dir_all(bundle.root().join("dev/pts")).unwrap();
    assert_eq!(run(&bare).unwrap(), "/dev/pts/0\r\n1\r\ncharacter special file\r\n");
    // A directory with a ptmx of its own is no devpts.
    let fake = bundle.path.join("pts");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("ptmx"), "").unwrap();
    let replaced = |spec: &mut Spec| {
        spec.mounts.retain(|mount| mount.destination != "/dev/pts");
        spec.mounts.push(mount("bind", fake.to_str().unwrap(), "/dev/pts", &["rbind"]));
    };
    assert!(run(&replaced).unwrap_err().to_string().contains("opening the terminal"));
    assert_eq!(snapshot(&canary), before);
}
