//! What people are told when a container cannot be made or entered.

use crate::support::{self, Bundle, Output, exec, mount, process, with_user};
use oci::runtime::{Process, Rlimit, Spec};

fn check(change: impl FnOnce(&mut Spec), expected: &str) {
    let bundle = Bundle::new();
    std::fs::write(bundle.root().join("file"), "x").unwrap();
    let mut spec = bundle.spec("true");
    change(&mut spec);
    assert_eq!(bundle.error(spec), expected);
    assert!(!std::path::Path::new("/sys/fs/cgroup/pids").join(&bundle.id).exists(), "the cgroup is left");
}

fn command(args: &[&str]) -> impl FnOnce(&mut Spec) {
    let process = process(args);
    move |spec: &mut Spec| spec.process = Some(process)
}

#[test]
fn commands_that_cannot_run() {
    check(command(&["nosuch"]), r#"exec: "nosuch": executable file not found in $PATH"#);
    check(command(&[""]), r#"exec: "": executable file not found in $PATH"#);
    check(command(&["/nosuch"]), r#"exec: "/nosuch": stat /nosuch: no such file or directory"#);
    check(command(&["/etc"]), r#"exec: "/etc": is a directory"#);
    check(command(&["/file"]), r#"exec: "/file": permission denied"#);
    check(command(&["/file/x"]), r#"exec: "/file/x": stat /file/x: not a directory"#);
    check(command(&["etc"]), r#"exec: "etc": executable file not found in $PATH"#);
    let no_path = |spec: &mut Spec| spec.process.as_mut().unwrap().env.clear();
    check(no_path, r#"exec: "sh": executable file not found in $PATH"#);
}

#[test]
fn directories_that_cannot_be_entered() {
    let directory =
        |path: &'static str| move |spec: &mut Spec| spec.process.as_mut().unwrap().cwd = path.into();
    check(directory("/file"), r#"chdir to cwd ("/file") set in config.json failed: not a directory"#);
    check(directory("relative"), "Cwd property must be an absolute path");
}

#[test]
fn mounts_that_cannot_be_made() {
    let add = |mount| move |spec: &mut Spec| spec.mounts.push(mount);
    let prefix = "error during container init: error mounting";
    check(
        add(mount("bind", "/etc", "/file", &["rbind"])),
        &format!(
            r#"{prefix} "/etc" to rootfs at "/file": create mount destination for /file mount: not a directory"#
        ),
    );
    check(
        add(mount("bind", "/etc/passwd", "/etc", &["bind"])),
        &format!(r#"{prefix} "/etc/passwd" to rootfs at "/etc": mount /etc/passwd:/etc: not a directory"#),
    );
    check(
        add(mount("nosuchfs", "x", "/x", &[])),
        &format!(r#"{prefix} "x" to rootfs at "/x": mount x:/x: no such device"#),
    );
    check(
        add(mount("tmpfs", "tmpfs", "/x", &["nonsense=1"])),
        &format!(r#"{prefix} "tmpfs" to rootfs at "/x": option nonsense: invalid argument"#),
    );
}

#[test]
fn settings_that_make_no_sense() {
    check(|spec| spec.process = None, "process property must not be empty");
    check(
        |spec| drop(spec.linux.as_mut().unwrap().sysctl.insert("kernel.panic".into(), "1".into())),
        r#"sysctl "kernel.panic" is not in a separate kernel namespace"#,
    );
    let limit = Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 10, hard: 5 };
    check(
        |spec| spec.process.as_mut().unwrap().rlimits.push(limit),
        "error during container init: setting rlimit RLIMIT_NOFILE: invalid argument",
    );
    check(
        |spec| spec.process.as_mut().unwrap().apparmor_profile = "nosuch".into(),
        "error during container init: setting security label: no such file or directory",
    );
}

#[test]
fn added_processes_that_cannot_run() {
    let bundle = Bundle::new();
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    let cases = [
        (process(&["nosuch"]), r#"exec: "nosuch": executable file not found in $PATH"#),
        (process(&["/etc"]), r#"exec: "/etc": is a directory"#),
        (
            Process { cwd: "/nosuchdir".into(), ..process(&["true"]) },
            r#"chdir to cwd ("/nosuchdir") set in config.json failed: no such file or directory"#,
        ),
    ];
    for (process, expected) in cases {
        assert_eq!(exec(&created, process).unwrap_err(), expected);
    }
    support::end(created);
}

#[test]
fn late_failures_are_told_by_the_command_itself() {
    let bundle = Bundle::new();
    for (content, reason) in [("\0\0\0", "exec format error"), ("#!/nosuch\n", "no such file or directory")] {
        let path = bundle.root().join("broken");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut spec = bundle.spec("");
        spec.process = Some(process(&["/broken"]));
        let (text, exit) = bundle.run(spec);
        assert_eq!(text, format!("exec /broken: {reason}\n"));
        assert_eq!(exit, linux::pidfd::Exit::Code(255));
    }
}

#[test]
fn only_the_users_rights_count() {
    let bundle = Bundle::new();
    let path = bundle.root().join("secret");
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut spec = with_user(bundle.spec(""), 1000, 1000, &[]);
    spec.process =
        Some(Process { args: vec!["/secret".into()], capabilities: None, ..spec.process.unwrap() });
    assert_eq!(bundle.error(spec), r#"exec: "/secret": permission denied"#);
}

#[test]
fn a_dropped_container_ends() {
    let bundle = Bundle::new();
    let mut request = bundle.request(bundle.spec("sleep 100"));
    request.stdio = Output::new().stdio();
    let mut created = runtime::create(request).unwrap();
    let (pidfd, cgroup) = (created.pidfd.try_clone().unwrap(), created.cgroup.take());
    drop(created);
    let exit = linux::pidfd::wait(std::os::fd::AsFd::as_fd(&pidfd)).unwrap();
    assert_eq!(exit, linux::pidfd::Exit::Code(1));
    cgroup.unwrap().remove(std::time::Duration::from_secs(5)).unwrap();
}
