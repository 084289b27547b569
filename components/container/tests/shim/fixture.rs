//! A supervisor of the test's own, with containers from a busybox tree.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use container::supervisor::Created;
use container::{ShimError, ShimEvent, Supervisor, SupervisorConfig};
use model::ContainerId;
use oci::runtime::{
    Capabilities, Linux, Memory, Mount, Namespace, NamespaceType, Process, Resources, Root, Spec,
};
use shim_protocol::{Attach, Create, Event, Exit, LogTarget, Overlay, Rootfs, Rotation, Target};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Heard {
    events: Mutex<VecDeque<(ContainerId, ShimEvent)>>,
    arrived: Condvar,
}

impl Heard {
    /// Takes the first event about this container that is wanted.
    #[track_caller]
    pub fn wait<T>(&self, id: &ContainerId, wanted: impl Fn(&ShimEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock().unwrap();
        loop {
            let found = events.iter().enumerate().find_map(|(number, (about, event))| {
                if about == id { wanted(event).map(|value| (number, value)) } else { None }
            });
            if let Some((number, value)) = found {
                events.remove(number);
                return value;
            }
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("waited in vain; heard {events:?}"));
            events = self.arrived.wait_timeout(events, left).unwrap().0;
        }
    }

    #[track_caller]
    pub fn exit(&self, id: &ContainerId) -> Exit {
        self.wait(id, |event| match event {
            ShimEvent::Said(Event::Exited(exit)) => Some(exit.clone()),
            ShimEvent::Lost(exit) => panic!("the shim was lost: {exit:?}"),
            _ => None,
        })
    }
}

pub struct Fixture {
    pub directory: PathBuf,
    pub cgroup: String,
    pub heard: Arc<Heard>,
    supervisor: Option<Supervisor>,
}

/// What a test's container is.
pub struct Wanted<'a> {
    pub args: &'a [&'a str],
    pub tty: bool,
    pub stdin: bool,
    pub start: bool,
    pub init: bool,
    pub host_pid: bool,
    pub memory: Option<i64>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            args: &["true"],
            tty: false,
            stdin: false,
            start: true,
            init: false,
            host_pid: false,
            memory: None,
        }
    }
}

pub fn shell(line: &str) -> [&str; 3] {
    ["sh", "-c", line]
}

/// The busybox tree all tests share as lowest layer, which nobody writes to; kept beside the images it comes from.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tar = testkit::image::busybox_tar();
        let tree = testkit::image::cache_dir().join("busybox-tree");
        if tree.is_dir() {
            return tree;
        }
        let unfinished = tree.with_extension(std::process::id().to_string());
        std::fs::create_dir_all(&unfinished).unwrap();
        let status = std::process::Command::new("tar")
            .arg("-C")
            .arg(&unfinished)
            .arg("-xf")
            .arg(tar)
            .status()
            .unwrap();
        assert!(status.success());
        if std::fs::rename(&unfinished, &tree).is_err() {
            // Another test program was faster.
            std::fs::remove_dir_all(&unfinished).unwrap();
        }
        tree
    })
}

fn shim_binary() -> PathBuf {
    if let Some(directory) = std::env::var_os("WHARF_BIN_DIR") {
        return PathBuf::from(directory).join("wharf-shim");
    }
    let own = std::env::current_exe().unwrap();
    own.ancestors().map(|directory| directory.join("wharf-shim")).find(|path| path.is_file()).unwrap_or_else(
        || panic!("no wharf-shim near {}: run `cargo build -p wharf-shim` first", own.display()),
    )
}

impl Fixture {
    pub fn new() -> Self {
        let name = model::id::random_hex()[..12].to_owned();
        let mut fixture = Self {
            directory: std::env::temp_dir().join(format!("wharf-shim-test-{name}")),
            cgroup: format!("/wharf-shim-test-{name}"),
            heard: Arc::default(),
            supervisor: None,
        };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        let heard = Arc::clone(&self.heard);
        let config = SupervisorConfig {
            shim_binary: shim_binary(),
            containers_dir: self.directory.join("containers"),
            group: None,
        };
        let on_event = Box::new(move |id: &ContainerId, event| {
            heard.events.lock().unwrap().push_back((id.clone(), event));
            heard.arrived.notify_all();
        });
        self.supervisor = Some(Supervisor::open(config, on_event).unwrap());
    }

    /// Another engine takes over, as after a kill -9 of the first one.
    pub fn restart(&mut self) {
        self.supervisor = None;
        self.open();
    }

    pub fn supervisor(&self) -> &Supervisor {
        self.supervisor.as_ref().unwrap()
    }

    pub fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.directory.join(format!("{}.log", id.short()))
    }

    pub fn log_text(&self, id: &ContainerId) -> String {
        let mut out = Vec::new();
        let (query, form) = (container::logs::Query::default(), container::logs::Form::default());
        container::logs::deliver(&self.log_path(id), &query, form, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    pub fn document(&self, id: &ContainerId, wanted: &Wanted<'_>) -> Create {
        let own = self.directory.join("layers").join(id.short());
        let (upper, work) = (own.join("upper"), own.join("work"));
        std::fs::create_dir_all(&upper).unwrap();
        std::fs::create_dir_all(&work).unwrap();
        let rotation = Rotation { max_size: None, max_files: 1, compress: false };
        Create {
            id: id.to_string(),
            spec: spec(&format!("{}/{}", self.cgroup, id.short()), wanted),
            rootfs: Rootfs::Overlay(Overlay {
                lower: vec![tree().to_owned()],
                mount: None,
                upper: Some(upper),
                work: Some(work),
                volatile: true,
            }),
            netns: false,
            log: LogTarget::JsonFile { path: self.log_path(id), rotation, attributes: Default::default() },
            open_stdin: wanted.stdin,
            stdin_once: wanted.stdin,
            init: wanted.init,
            start: wanted.start,
        }
    }

    pub fn try_run(&self, wanted: &Wanted<'_>) -> (ContainerId, Result<Created, ShimError>) {
        let id = ContainerId::generate();
        self.supervisor().spawn(&id).unwrap();
        let created = self.supervisor().create(&id, self.document(&id, wanted), &[], None, None);
        (id, created)
    }

    #[track_caller]
    pub fn run(&self, wanted: &Wanted<'_>) -> ContainerId {
        let (id, created) = self.try_run(wanted);
        created.unwrap();
        id
    }

    /// Attaches to the init process; the client's end.
    pub fn attach(&self, id: &ContainerId, framed: bool) -> UnixStream {
        let (client, theirs) = UnixStream::pair().unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        self.supervisor().attach(id, attach_to(Target::Init, framed), theirs.as_fd()).unwrap();
        client
    }
}

pub fn attach_to(target: Target, framed: bool) -> Attach {
    Attach {
        key: 7,
        target,
        stdin: true,
        stdout: true,
        stderr: true,
        framed,
        detach_keys: vec![16, 17],
        early_input: Vec::new(),
    }
}

impl Drop for Fixture {
    /// Ends what a failed test left, and says what should not be there.
    fn drop(&mut self) {
        let supervisor = self.supervisor.take().unwrap();
        for id in supervisor.connected() {
            supervisor.kill_hard(&id);
        }
        let passed = !std::thread::panicking();
        let left = wait_until(|| self.leftovers().is_empty());
        if passed {
            assert!(left, "left behind: {:?}", self.leftovers());
        }
        drop(supervisor);
        if let Ok(group) = linux::cgroup::Hierarchies::detect().and_then(|all| all.open(&self.cgroup)) {
            let _ = group.kill_all(Duration::from_secs(5));
            let _ = group.remove(Duration::from_secs(5));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn wait_until(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

impl Fixture {
    /// Shims, cgroups, mounts and directories of this test that still exist.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mine = self.directory.to_string_lossy().into_owned();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&mine) {
                found.push(format!("process {}", entry.path().display()));
            }
        }
        if let Ok(group) = linux::cgroup::Hierarchies::detect().and_then(|all| all.open(&self.cgroup)) {
            found.extend(group.pids().unwrap_or_default().into_iter().map(|pid| format!("in cgroup: {pid}")));
        }
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let groups =
                std::fs::read_dir(hierarchy.path().join(&self.cgroup[1..])).into_iter().flatten().flatten();
            found.extend(
                groups
                    .filter(|one| one.path().is_dir())
                    .map(|one| format!("cgroup {}", one.path().display())),
            );
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&mine)).map(str::to_owned));
        let containers = std::fs::read_dir(self.directory.join("containers")).into_iter().flatten().flatten();
        found.extend(containers.map(|entry| format!("directory {}", entry.path().display())));
        found
    }
}

/// Reads to the end of the stream.
#[track_caller]
pub fn read_all(client: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads until the text has come.
#[track_caller]
pub fn read_until(client: &mut UnixStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut piece = [0; 1024];
        let count = client.read(&mut piece).unwrap_or_else(|error| {
            panic!("{error} before {text:?}, after {:?}", String::from_utf8_lossy(&seen))
        });
        assert!(count > 0, "the stream ended before {text:?}, after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

pub fn process(args: &[&str], tty: bool) -> Process {
    let all: Vec<String> =
        ["CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"].iter().map(|name| (*name).to_owned()).collect();
    Process {
        terminal: tty,
        cwd: "/".to_owned(),
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: vec!["PATH=/bin:/usr/bin".to_owned(), "TERM=xterm".to_owned()],
        capabilities: Some(Capabilities {
            bounding: all.clone(),
            effective: all.clone(),
            permitted: all,
            ..Capabilities::default()
        }),
        ..Process::default()
    }
}

fn spec(cgroup: &str, wanted: &Wanted<'_>) -> Spec {
    let mount = |destination: &str, kind: &str, options: &[&str]| Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: kind.to_owned(),
        options: options.iter().map(|text| (*text).to_owned()).collect(),
        ..Mount::default()
    };
    let mut kinds =
        vec![NamespaceType::Mount, NamespaceType::Uts, NamespaceType::Ipc, NamespaceType::Network];
    if !wanted.host_pid {
        kinds.push(NamespaceType::Pid);
    }
    Spec {
        oci_version: oci::runtime::VERSION.to_owned(),
        process: Some(process(wanted.args, wanted.tty)),
        root: Some(Root { path: "rootfs".to_owned(), readonly: false }),
        hostname: "shimtest".to_owned(),
        mounts: vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount(
                "/dev/pts",
                "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            ),
        ],
        linux: Some(Linux {
            cgroups_path: cgroup.to_owned(),
            resources: wanted.memory.map(|limit| Resources {
                memory: Some(Memory { limit: Some(limit), ..Memory::default() }),
                ..Resources::default()
            }),
            namespaces: kinds.into_iter().map(|kind| Namespace { kind, ..Namespace::default() }).collect(),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}
