//! An engine for one test: started on roots of its own, stopped and removed when dropped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::slot::Slot;

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code; 128 plus the signal when a signal ended it.
    pub code: i32,
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
}

impl Output {
    /// The standard output without surrounding white space, after checking that the command succeeded.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "the command failed: {self:#?}");
        self.stdout.trim()
    }

    /// The standard error, after checking the exit code.
    #[track_caller]
    pub fn fails_with(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "another exit code was expected: {self:#?}");
        self.stderr.trim()
    }
}

/// A running `wharfd` that belongs to the test.
#[derive(Debug)]
pub struct Engine {
    slot: Slot,
    root: PathBuf,
    arguments: Vec<String>,
    daemon: Option<Child>,
    disk: Option<Disk>,
    prefix: Vec<String>,
}

/// The folder the workspace's binaries were built into.
pub fn binary_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("WHARF_BIN_DIR") {
        return PathBuf::from(dir);
    }
    let own = std::env::current_exe().expect("know the test's own path");
    own.ancestors()
        .skip(1)
        .find(|dir| dir.join("wharfd").is_file())
        .unwrap_or_else(|| {
            panic!("no wharfd near {}: run `cargo xtask test`, or `cargo build` first", own.display())
        })
        .to_owned()
}

/// Runs a command to its end, with nothing on its standard input unless given.
pub fn run(command: &mut Command, input: Option<&[u8]>) -> Output {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let feeder = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut pipe, bytes)| {
        std::thread::spawn(move || {
            // The command may end without reading everything, which is its right.
            let _ = pipe.write_all(&bytes);
        })
    });
    let output = child.wait_with_output().expect("wait for a command");
    if let Some(feeder) = feeder {
        feeder.join().expect("feed a command");
    }
    use std::os::unix::process::ExitStatusExt as _;
    Output {
        code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Engine {
    /// Starts an engine with no images.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an engine that holds `busybox:latest`.
    pub fn with_busybox() -> Self {
        let engine = Self::start();
        engine.import_busybox();
        engine
    }

    /// Starts an engine with further daemon arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut engine = Self::prepare(arguments);
        engine.start_daemon();
        engine
    }

    /// Starts an engine that keeps layers as they came, if the kernel can use them so; else says why not.
    ///
    /// # Errors
    /// The daemon's words, when it refuses because of the kernel; any other refusal is a failed test.
    pub fn start_in_place() -> Result<Self, String> {
        let mut engine = Self::prepare(&["--storage-driver", "erofs"]);
        engine.daemon = Some(engine.spawn_daemon());
        let Err(said) = engine.ready() else { return Ok(engine) };
        let why = said.lines().find(|line| line.contains("the kernel cannot use layers in place"));
        why.map(str::to_owned).map_or_else(|| panic!("wharfd did not start:\n{said}"), Err)
    }

    /// Starts an engine whose data root is a small disk of its own, seen by this engine and its containers only.
    pub fn on_disk(kind: crate::disk::Kind, mebibytes: u32) -> Self {
        let mut engine = Self::prepare(&[]);
        let data = engine.data_root();
        std::fs::create_dir_all(&data).expect("make the data root");
        engine.disk = Some(Disk::mount(kind, &data, &engine.root.join("disk.image"), mebibytes));
        engine.start_daemon();
        engine
    }

    /// Roots, names and addresses for an engine, which is started by [`Engine::start_daemon`] or one of its kin.
    pub fn prepare(arguments: &[&str]) -> Self {
        let slot = Slot::take();
        let root = PathBuf::from(format!("/var/tmp/wharf-test/{}-{}", std::process::id(), slot.number()));
        std::fs::create_dir_all(&root).expect("make the test's folder");
        let arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        Self { slot, root, arguments, daemon: None, disk: None, prefix: Vec::new() }
    }

    /// Has the daemon started by another program, which gets it and its arguments as its last ones and becomes it.
    pub fn start_through(&mut self, prefix: &[&str]) {
        self.prefix = prefix.iter().map(|&text| text.to_owned()).collect();
    }

    /// The small disk of [`Engine::on_disk`].
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("an engine on a disk of its own")
    }

    /// Starts the daemon again on the same roots, after [`Engine::kill_daemon`] or [`Engine::stop_daemon`].
    pub fn start_daemon(&mut self) {
        let child = self.spawn_daemon();
        self.daemon = Some(child);
        self.wait_until_ready();
    }

    /// Starts the daemon, which is expected to refuse; how it ended, and what it said.
    pub fn refused_start(&mut self) -> Output {
        let before = self.log().len();
        let mut child = self.spawn_daemon();
        let deadline = Instant::now() + crate::patience(30);
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("look at wharfd") {
                let said = self.log().split_off(before);
                return Output { code: status.code().unwrap_or(-1), stdout: String::new(), stderr: said };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("wharfd was expected to refuse its start:\n{}", self.log());
    }

    fn daemon_command(&self, program: &Path) -> Command {
        if let Some(disk) = &self.disk {
            return disk.command(program);
        }
        let Some((first, rest)) = self.prefix.split_first() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    fn spawn_daemon(&self) -> Child {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("open the daemon's log");
        let mut command = self.daemon_command(&binary_dir().join("wharfd"));
        command
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(self.exec_root())
            .arg("--pidfile")
            .arg(self.root.join("wharfd.pid"))
            .arg("--host")
            .arg(self.host())
            .args(["--config-file", "/dev/null"])
            .args(["--bridge-name", &self.slot.bridge()])
            .args(["--bip", &self.slot.bridge_address()])
            .args(["--cgroup-parent", &self.slot.cgroup_parent()])
            .args(self.driver_arguments())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the daemon's log"))
            .stderr(log)
            .spawn()
            .expect("start wharfd")
    }

    fn wait_until_ready(&mut self) {
        if let Err(said) = self.ready() {
            panic!("wharfd did not get ready:\n{said}");
        }
    }

    /// Waits until the daemon answers; why it does not.
    fn ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + crate::patience(30);
        while Instant::now() < deadline {
            if crate::http::get(&self.socket_path(), "/_ping").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            let ended = self.daemon.as_mut().and_then(|child| child.try_wait().expect("look at wharfd"));
            if let Some(status) = ended {
                return Err(format!("wharfd ended at its start ({status}):\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("wharfd did not answer within 30 seconds:\n{}", self.log()))
    }

    /// A test that names a driver gets that one.
    fn driver_arguments(&self) -> Vec<String> {
        let named = self.arguments.iter().any(|argument| argument == "--storage-driver");
        let driver = storage_driver().filter(|_| !named);
        driver.map(|name| vec!["--storage-driver".to_owned(), name]).unwrap_or_default()
    }

    /// Ends the daemon the hard way; its containers go on.
    pub fn kill_daemon(&mut self) {
        let mut child = self.daemon.take().expect("a running daemon");
        child.kill().expect("kill wharfd");
        child.wait().expect("reap wharfd");
    }

    /// Asks the daemon to end and waits for it.
    pub fn stop_daemon(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        signal(child.id(), rustix::process::Signal::TERM);
        let deadline = Instant::now() + crate::patience(30);
        while Instant::now() < deadline {
            if child.try_wait().expect("look at wharfd").is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("wharfd did not end within 30 seconds of SIGTERM:\n{}", self.log());
    }

    /// The daemon's process id.
    pub fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("a running daemon").id()
    }

    /// The test's own folder, removed at the end.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the engine keeps its data.
    pub fn data_root(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where the engine keeps what a reboot may forget.
    pub fn exec_root(&self) -> PathBuf {
        self.root.join("exec")
    }

    /// The API socket.
    pub fn socket_path(&self) -> PathBuf {
        self.root.join("wharf.sock")
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket_path().display())
    }

    /// The names and addresses this engine uses.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    fn log_path(&self) -> PathBuf {
        self.root.join("wharfd.log")
    }

    /// What the daemon logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A command of wharf's own CLI against this engine, to be run with [`run`] or by hand.
    pub fn wharf_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary_dir().join("wharf"));
        self.point_at(&mut command);
        command.args(arguments);
        command
    }

    /// A command of the real docker CLI against this engine, where the machine has one.
    pub fn docker_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        self.point_at(&mut command);
        command.args(arguments);
        command
    }

    fn point_at(&self, command: &mut Command) {
        let config = self.root.join("config");
        std::fs::create_dir_all(&config).expect("make a configuration folder");
        command
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", config)
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_API_VERSION");
    }

    /// Runs wharf's CLI with these arguments.
    pub fn wharf(&self, arguments: &[&str]) -> Output {
        run(&mut self.wharf_command(arguments), None)
    }

    /// Runs wharf's CLI with bytes on its standard input.
    pub fn wharf_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(&mut self.wharf_command(arguments), Some(input))
    }

    /// Runs the real docker CLI with these arguments.
    pub fn docker(&self, arguments: &[&str]) -> Output {
        run(&mut self.docker_command(arguments), None)
    }

    /// Makes an image of busybox and what `change` does to its unpacked tree.
    pub fn import_changed_busybox(&self, name: &str, change: impl FnOnce(&Path)) {
        let tree = self.root.join(format!("tree-{name}"));
        std::fs::create_dir_all(&tree).expect("make a folder");
        let tar = crate::image::busybox_tar();
        run(Command::new("tar").arg("-xpf").arg(tar).arg("-C").arg(&tree), None).ok();
        change(&tree);
        let packed = self.root.join(format!("{name}.tar"));
        run(Command::new("tar").arg("-cf").arg(&packed).arg("-C").arg(&tree).arg("."), None).ok();
        let target = format!("/images/create?fromSrc=-&repo={name}&tag=latest&changes=CMD%20%5B%22sh%22%5D");
        let bytes = std::fs::read(&packed).expect("read the image");
        let headers = [("Content-Type", "application/x-tar")];
        let answer =
            crate::http::request(&self.socket_path(), "POST", &target, &headers, &bytes).expect("import");
        assert_eq!(answer.status, 200, "import of {name}: {}", answer.text());
        let _ = std::fs::remove_dir_all(tree);
    }

    /// Gives the engine `busybox:latest`.
    pub fn import_busybox(&self) {
        let tar = crate::image::busybox_tar();
        let answer = crate::http::request(
            &self.socket_path(),
            "POST",
            "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D",
            &[("Content-Type", "application/x-tar")],
            &std::fs::read(tar).expect("read the busybox image"),
        )
        .expect("import busybox");
        assert_eq!(answer.status, 200, "import of busybox: {}", answer.text());
        assert!(!answer.text().contains("errorDetail"), "import of busybox: {}", answer.text());
    }
}

/// Whether the machine has a docker CLI to test with.
pub fn has_docker_cli() -> bool {
    Command::new("docker").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Sends a signal to a process the test started.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    let _ = rustix::process::kill_process(pid, signal);
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            signal(child.id(), rustix::process::Signal::TERM);
            let deadline = Instant::now() + crate::patience(20);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        crate::census::sweep(self);
        if std::thread::panicking() {
            eprintln!("--- wharfd's log ---\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// `WHARF_STORAGE_DRIVER` runs all tests with another storage driver.
pub fn storage_driver() -> Option<String> {
    std::env::var("WHARF_STORAGE_DRIVER").ok().filter(|name| !name.is_empty())
}
