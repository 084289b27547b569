//! A container of a check's own: its bundle, its configuration, and what the runtime is asked to do with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::runtime;

/// A bundle; dropping it deletes the container and everything around it.
pub struct Bundle {
    /// The container's name.
    pub id: String,
    /// The bundle's directory, with `config.json` and `rootfs`.
    pub path: PathBuf,
    /// The configuration, written before each create.
    pub spec: Value,
    state: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit status; 128 plus the signal when it was killed.
    pub code: i32,
    /// What it printed, without blanks at the end.
    pub out: String,
    /// What it complained.
    pub err: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The output of a command that has to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The complaint of a command that has to fail.
    #[track_caller]
    pub fn fails(self) -> String {
        assert_ne!(self.code, 0, "{self:?}");
        self.err
    }
}

/// How long anything may take.
pub const SOON: Duration = Duration::from_secs(20);

impl Default for Bundle {
    fn default() -> Self {
        Self::new()
    }
}

impl Bundle {
    /// A busybox that sleeps, in namespaces of its own.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        *LIVE.lock().expect("no check panics here") += 1;
        let id = format!("c{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("wharf-conformance-{id}"));
        let _ = fs::remove_dir_all(&path);
        make_rootfs(&path.join("rootfs"));
        let state = path.join("state");
        fs::create_dir_all(&state).expect("make the state directory");
        let spec = base_spec(&id);
        Self { id, path, spec, state }
    }

    /// A bundle whose process is a shell with this script.
    pub fn script(script: &str) -> Self {
        let mut bundle = Self::new();
        bundle.spec["process"]["args"] = json!(["sh", "-c", script]);
        bundle
    }

    /// The same with a changed configuration.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        self.set(pointer, value);
        self
    }

    /// Changes the configuration at a JSON pointer; missing objects on the way are made.
    pub fn set(&mut self, pointer: &str, value: Value) {
        let mut at = &mut self.spec;
        for key in pointer.split('/').skip(1) {
            at = match at {
                Value::Array(items) => {
                    let index: usize = key.parse().expect("an index");
                    items.get_mut(index).expect("an item")
                }
                other => &mut other[key],
            };
        }
        *at = value;
    }

    /// Adds an item to a list of the configuration.
    #[must_use]
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        if self.spec.pointer(pointer).is_none() {
            self.set(pointer, json!([]));
        }
        let list = self.spec.pointer_mut(pointer).and_then(Value::as_array_mut);
        list.expect("a list in the configuration").push(value);
        self
    }

    /// The path of a file in the container's root.
    pub fn root(&self, path: &str) -> PathBuf {
        self.path.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// Writes the configuration to the bundle.
    pub fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.spec).expect("a configuration");
        fs::write(self.path.join("config.json"), text).expect("write config.json");
    }

    /// The runtime's command with these arguments, the container's name at the end of the options.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = runtime::command(&self.state);
        command.args(arguments);
        command
    }

    /// Runs a command of the runtime to its end.
    pub fn runtime(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        let output =
            command.stdin(no_input()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Ended::of(&output)
    }

    /// `run`: create, start, wait, delete.
    pub fn run(&self) -> Ended {
        self.write();
        let bundle = self.path.to_string_lossy().into_owned();
        self.runtime(&["run", "--bundle", &bundle, &self.id])
    }

    /// `create`, with the container's output going to a file.
    pub fn create(&self) -> Ended {
        self.create_with(&[])
    }

    /// `create` with more options.
    pub fn create_with(&self, options: &[&str]) -> Ended {
        self.write();
        let (out, err) = (self.path.join("out"), self.path.join("err"));
        let open = |path: &Path| File::create(path).expect("make an output file");
        let status = self
            .command(&["create", "--bundle"])
            .arg(&self.path)
            .arg("--pid-file")
            .arg(self.path.join("pid"))
            .args(options)
            .arg(&self.id)
            .stdin(no_input())
            .stdout(open(&out))
            .stderr(open(&err))
            .status()
            .expect("run the runtime");
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        Ended { code: status.code().unwrap_or(255), out: read(&out), err: read(&err) }
    }

    /// `create` and `start`, both of which have to succeed.
    #[track_caller]
    pub fn up(&self) {
        self.create().ok();
        self.start().ok();
    }

    /// `start`
    pub fn start(&self) -> Ended {
        self.runtime(&["start", &self.id])
    }

    /// `kill`
    pub fn kill(&self, signal: &str) -> Ended {
        self.runtime(&["kill", &self.id, signal])
    }

    /// `delete`
    pub fn delete(&self) -> Ended {
        self.runtime(&["delete", &self.id])
    }

    /// `exec` of a shell with this script.
    pub fn exec(&self, script: &str) -> Ended {
        self.runtime(&["exec", &self.id, "sh", "-c", script])
    }

    /// The answer of `state`.
    #[track_caller]
    pub fn state(&self) -> Value {
        let text = self.runtime(&["state", &self.id]).ok();
        serde_json::from_str(&text).expect("state is JSON")
    }

    /// The status in the answer of `state`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for a status.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        self.wait_until(&format!("status {status}"), || self.status() == status);
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}; {}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the created container has printed so far.
    pub fn output(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.path.join(name)).unwrap_or_default();
        format!("{}{}", read("out"), read("err"))
    }

    /// Starts, waits for the end and gives what the container printed.
    #[track_caller]
    pub fn finish(&self) -> String {
        self.start().ok();
        self.wait_for("stopped");
        fs::read_to_string(self.path.join("out")).unwrap_or_default().trim_end().to_owned()
    }

    /// The container's path within the cgroup hierarchies.
    pub fn cgroup(&self) -> String {
        self.spec["linux"]["cgroupsPath"].as_str().unwrap_or_default().to_owned()
    }

    /// A file of the container's cgroup, by the controller it has on version 1.
    pub fn cgroup_file(&self, controller: &str, file: &str) -> PathBuf {
        let mount = if runtime::is_unified() {
            PathBuf::from("/sys/fs/cgroup")
        } else {
            Path::new("/sys/fs/cgroup").join(controller)
        };
        mount.join(self.cgroup().trim_start_matches('/')).join(file)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let ended = self.runtime(&["delete", "--force", &self.id]);
        if std::thread::panicking() {
            eprintln!("--- output ---\n{}\n--- delete ---\n{ended:?}", self.output());
        }
        let _ = fs::remove_dir_all(&self.path);
        let mut live = LIVE.lock().expect("no check panics here");
        *live -= 1;
        remove_cgroups(&self.id, *live == 0);
    }
}

/// Bundles there are now: the cgroup they share goes with the last one.
static LIVE: Mutex<usize> = Mutex::new(0);

fn remove_cgroups(id: &str, last: bool) {
    let hierarchies =
        fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        let parent = hierarchy.join(parent_cgroup());
        let _ = fs::remove_dir(parent.join(id));
        if last {
            let _ = fs::remove_dir(parent);
        }
    }
}

/// An input that has ended. Not /dev/null: older runtimes give it to the container's user.
fn no_input() -> Stdio {
    std::io::pipe().map_or_else(|_| Stdio::null(), |(reader, _)| Stdio::from(reader))
}

fn parent_cgroup() -> String {
    format!("wharf-conformance-{}", std::process::id())
}

/// A root of busybox, whose program is linked rather than copied where that is possible.
fn make_rootfs(root: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "mnt", "root"] {
        fs::create_dir_all(root.join(directory)).expect("make a directory");
    }
    let busybox = testkit::image::busybox_program();
    let kept = std::env::temp_dir().join("wharf-conformance-busybox");
    if !kept.exists() {
        // A name of its own: other checks do the same at the same time.
        let part = root.join("busybox.part");
        testkit::image::copy_program(&busybox, &part);
        fs::rename(&part, &kept).expect("keep busybox");
    }
    let program = root.join("bin/busybox");
    if fs::hard_link(&kept, &program).is_err() {
        testkit::image::copy_program(&busybox, &program);
    }
    for name in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("link a program");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
        .expect("passwd");
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\nmore:x:2000:user\n").expect("group");
}

const APPLETS: [&str; 48] = [
    "sh",
    "cat",
    "ls",
    "sleep",
    "echo",
    "id",
    "mount",
    "umount",
    "head",
    "tail",
    "touch",
    "mkdir",
    "rm",
    "stat",
    "readlink",
    "grep",
    "hostname",
    "env",
    "pwd",
    "true",
    "false",
    "test",
    "kill",
    "ps",
    "ip",
    "mknod",
    "chmod",
    "chown",
    "dd",
    "cp",
    "mv",
    "wc",
    "cut",
    "sort",
    "tr",
    "tty",
    "stty",
    "printf",
    "uname",
    "date",
    "find",
    "awk",
    "sed",
    "nproc",
    "unshare",
    "dnsdomainname",
    "chroot",
    "ionice",
];

/// What `runc spec` would write, with a cgroup of the check's own.
fn base_spec(id: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sleep", "1000"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "conformance",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "cgroupsPath": format!("/{}/{id}", parent_cgroup()),
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/kcore", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
