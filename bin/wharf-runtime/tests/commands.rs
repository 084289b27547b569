//! The command line as other engines use it.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A bundle, a state directory and a container's id; everything is removed at the end.
struct World {
    path: PathBuf,
    id: String,
}

impl World {
    fn new(script: &str, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let id = format!("wharf-cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(&id);
        let bin = path.join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        for directory in ["dev", "proc", "sys"] {
            std::fs::create_dir(path.join("rootfs").join(directory)).unwrap();
        }
        testkit::image::copy_program(&testkit::image::busybox_program(), &bin.join("busybox"));
        for name in ["sh", "echo", "sleep", "cat", "id", "ls", "tty", "env"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        let world = Self { path, id };
        assert!(world.run(&["spec", "--bundle", world.path.to_str().unwrap()]).status.success());
        let config = world.path.join("config.json");
        let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = serde_json::json!(["sh", "-c", script]);
        spec["linux"]["cgroupsPath"] = format!("/{}", world.id).into();
        change(&mut spec);
        std::fs::write(config, spec.to_string()).unwrap();
        world
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-runtime"));
        command.arg("--root").arg(self.path.join("state")).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `create`, whose container keeps the streams it was given: not to be waited for with pipes.
    fn create(&self, more: &[&str]) -> (bool, String) {
        let log = self.path.join("output");
        let file = std::fs::File::create(&log).unwrap();
        let bundle = self.path.to_str().unwrap();
        let mut command = self.command(&["create", "--bundle", bundle]);
        command.args(more).arg(&self.id).stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.status().unwrap();
        (status.success(), std::fs::read_to_string(log).unwrap())
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.path.join("output")).unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let message = text
            .split_once("msg=\"")
            .map_or(text.as_str(), |(_, rest)| rest.trim_end().strip_suffix('"').unwrap_or(rest));
        (output.status.code(), message.replace("\\\"", "\""))
    }

    fn state(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["state", &self.id])).unwrap()
    }

    fn wait_until(&self, status: &str) {
        for _ in 0..200 {
            if self.state()["status"] == status {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("never {status}: {}", self.state());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.run(&["delete", "--force", &self.id]);
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[test]
fn a_life_from_create_to_delete() {
    let world = World::new("echo hello; exec sleep 100", |_| {});
    let id = world.id.as_str();
    let pid_file = world.path.join("pid");
    assert_eq!(world.create(&["--pid-file", pid_file.to_str().unwrap()]), (true, String::new()));
    let state = world.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["pid"].to_string(), std::fs::read_to_string(pid_file).unwrap());
    assert_eq!(state["id"], id);
    assert!(!world.create(&[]).0);
    assert!(world.create(&[]).1.contains("container with given ID already exists"));
    assert!(world.create(&[]).1.contains("create failed"));
    world.ok(&["start", id]);
    assert_eq!(world.state()["status"], "running");
    assert_eq!(world.fails(&["start", id]).1, "cannot start an already running container");
    assert!(world.ok(&["list", "-q"]).lines().any(|line| line == id));
    assert!(world.ok(&["ps", id]).contains("sleep 100"));
    assert_eq!(
        world.fails(&["delete", id]).1,
        format!("cannot delete container {id} that is not stopped: running")
    );
    world.ok(&["kill", id, "KILL"]);
    world.wait_until("stopped");
    assert_eq!(world.fails(&["kill", id]).1, "container not running");
    assert_eq!(
        world.fails(&["exec", id, "true"]),
        (Some(255), "exec failed: cannot exec in a stopped container".into())
    );
    world.ok(&["delete", id]);
    assert_eq!(world.fails(&["state", id]), (Some(1), "container does not exist".into()));
    assert_eq!(world.fails(&["delete", id]).1, "container does not exist");
    world.ok(&["delete", "--force", id]);
}

#[test]
fn output_goes_where_the_creator_says() {
    let world = World::new("echo hello; exec sleep 100", |_| {});
    world.create(&[]);
    world.ok(&["start", &world.id]);
    for _ in 0..200 {
        if world.output() == "hello\n" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{}", world.output());
}

#[test]
fn failures_go_to_the_log_in_json() {
    let world = World::new("", |spec| spec["process"]["args"] = serde_json::json!(["nosuch"]));
    let log = world.path.join("log.json");
    let bundle = world.path.to_str().unwrap();
    let output = world.run(&[
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "create",
        "-b",
        bundle,
        &world.id,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    let expected = "unable to start container process: exec: \"nosuch\": executable file not found in $PATH";
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().ends_with(expected), "{line}");
    assert!(String::from_utf8(output.stderr).unwrap().trim_end().ends_with(expected));
    // Nothing is left of it.
    assert_eq!(world.fails(&["state", &world.id]).1, "container does not exist");
}

#[test]
fn run_waits_and_gives_the_exit_code() {
    for (script, code) in [("exit 3", 3), ("kill -9 $$; kill -TERM 1; exit 4", 4), ("true", 0)] {
        let world = World::new(script, |_| {});
        let output = world.run(&["run", "-b", world.path.to_str().unwrap(), &world.id]);
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        assert_eq!(world.fails(&["state", &world.id]).1, "container does not exist");
    }
}

#[test]
fn exec_runs_beside() {
    let world = World::new("exec sleep 100", |_| {});
    let id = world.id.as_str();
    world.create(&[]);
    world.ok(&["start", id]);
    assert_eq!(
        world.ok(&[
            "exec",
            "-e",
            "A=b",
            "--cwd",
            "/bin",
            "-u",
            "5:6",
            id,
            "sh",
            "-c",
            "echo $A $PWD; id -u; id -g"
        ]),
        "b /bin\n5\n6\n"
    );
    assert_eq!(world.run(&["exec", id, "sh", "-c", "exit 9"]).status.code(), Some(9));
    assert_eq!(world.run(&["exec", id, "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    let (code, message) = world.fails(&["exec", id, "nosuch"]);
    assert_eq!(code, Some(255));
    assert_eq!(
        message,
        "exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH"
    );
    // As conmon does it: a process document, in the background, with a pid file.
    let document = world.path.join("process.json");
    let pid_file = world.path.join("exec.pid");
    let text =
        r#"{"args":["sh","-c","exec sleep 50"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}}"#;
    std::fs::write(&document, text).unwrap();
    let mut command = world.command(&[
        "exec",
        "--detach",
        "--pid-file",
        pid_file.to_str().unwrap(),
        "--process",
        document.to_str().unwrap(),
        id,
    ]);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let pid = std::fs::read_to_string(pid_file).unwrap();
    assert!(Path::new("/proc").join(&pid).exists());
    assert!(world.ok(&["ps", "--format", "json", id]).contains(&pid));
}

#[test]
fn pausing_and_limits() {
    let world = World::new("exec sleep 100", |_| {});
    let id = world.id.as_str();
    world.create(&[]);
    world.ok(&["start", id]);
    world.ok(&["pause", id]);
    assert_eq!(world.state()["status"], "paused");
    assert!(world.fails(&["exec", id, "true"]).1.contains("cannot exec in a paused container"));
    assert_eq!(world.fails(&["pause", id]).1, "container not running or created: cannot pause");
    world.ok(&["resume", id]);
    assert_eq!(world.fails(&["resume", id]).1, "container not paused");
    world.ok(&["update", "--pids-limit", "77", "--memory", "64m", id]);
    let limit = format!("/sys/fs/cgroup/pids/{id}/pids.max");
    if let Ok(text) = std::fs::read_to_string(limit) {
        assert_eq!(text, "77\n");
    }
    let stats: serde_json::Value = serde_json::from_str(&world.ok(&["events", "--stats", id])).unwrap();
    assert_eq!(stats["data"]["pids"]["limit"], 77);
    assert!(stats["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    // A paused container is still removed.
    world.ok(&["pause", id]);
    world.ok(&["delete", "--force", id]);
}

#[test]
fn the_terminal_is_handed_to_the_console_socket() {
    let world = World::new("tty; sleep 1", |spec| spec["process"]["terminal"] = true.into());
    let path = world.path.join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = std::thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let (mut text, mut master) = ([0; 100], None);
        let length = linux::descriptor::receive(&connection, &mut text, |fd| master = Some(fd)).unwrap();
        assert_eq!(&text[..length], b"/dev/ptmx");
        master.unwrap()
    });
    assert_eq!(world.create(&["--console-socket", path.to_str().unwrap()]), (true, String::new()));
    let mut master = std::fs::File::from(receiver.join().unwrap());
    world.ok(&["start", &world.id]);
    let mut line = [0; 12];
    master.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"/dev/pts/0\r\n");
    let refused = world.fails(&["create", "-b", world.path.to_str().unwrap(), "other"]).1;
    assert!(refused.contains("cannot allocate tty"), "{refused}");
}

#[test]
fn descriptors_are_handed_on() {
    let world = World::new("echo got $(cat <&3); ls /proc/self/fd | wc -l", |_| {});
    std::os::unix::fs::symlink("busybox", world.path.join("rootfs/bin/wc")).unwrap();
    let script = format!(
        "exec 3</etc/hostname; exec {} --root {} run --preserve-fds 1 -b {} {}",
        env!("CARGO_BIN_EXE_wharf-runtime"),
        world.path.join("state").display(),
        world.path.display(),
        world.id
    );
    let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(text, format!("got {}\n5\n", host.trim()), "{}", String::from_utf8_lossy(&output.stderr));
    let message =
        world.fails(&["run", "--preserve-fds", "5", "-b", world.path.to_str().unwrap(), &world.id]).1;
    assert!(message.contains("is not open"), "{message}");
}

#[test]
fn hooks_run_in_their_places() {
    let log = std::env::temp_dir().join(format!("wharf-hooks-{}", std::process::id()));
    let hook = |name: &str| {
        let script = format!(
            "read state; echo {name} $(echo $state | grep -o '\"status\":\"[a-z]*\"') $(readlink /proc/self/ns/mnt) >> {}",
            log.display()
        );
        serde_json::json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
    };
    let inside = serde_json::json!([{ "path": "/bin/sh", "args": ["sh", "-c", "read state; echo $state > /dev/shm/started"], "env": ["PATH=/bin"] }]);
    let world = World::new("cat /dev/shm/started", |spec| {
        spec["hooks"] = serde_json::json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"),
            "startContainer": inside, "poststart": hook("poststart"), "poststop": hook("poststop"),
        });
    });
    let output = world.run(&["run", "-b", world.path.to_str().unwrap(), &world.id]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"status\":\"created\""));
    let text = std::fs::read_to_string(&log).unwrap();
    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let expected = [
        ("prestart", "creating", true),
        ("createRuntime", "creating", true),
        ("createContainer", "creating", false),
    ];
    for (line, (name, status, host)) in lines.iter().zip(expected) {
        assert_eq!((line[0], line[1]), (name, format!("\"status\":\"{status}\"").as_str()), "{text}");
        assert_eq!(Path::new(line[2]) == own, host, "{text}");
    }
    assert_eq!((lines[3][0], lines[4][0], lines.len()), ("poststart", "poststop", 5), "{text}");
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_failing_hook_stops_the_creation() {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let world = World::new("echo never", |spec| {
            spec["hooks"] = serde_json::json!({ kind: [{ "path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 1"] }] });
        });
        let output = world.run(&["run", "-b", world.path.to_str().unwrap(), &world.id]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.stdout, b"", "{kind}");
        assert_eq!(output.status.code(), Some(1), "{kind}");
        let said = message.contains("because") || kind == "startContainer";
        assert!(message.contains("hook #0") && said, "{kind}: {message}");
    }
}

#[test]
fn features_and_versions() {
    let world = World::new("", |_| {});
    let features: serde_json::Value = serde_json::from_str(&world.ok(&["features"])).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert!(world.ok(&["--version"]).starts_with("wharf-runtime version "));
    assert_eq!(world.fails(&["nosuch"]).1, "No help topic for 'nosuch'");
    assert_eq!(world.fails(&["state", "../x"]).1, "invalid container id format: \"../x\"");
}
