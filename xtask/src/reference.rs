//! A dockerd of the reference engine that belongs to one run of an xtask command.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::http;

use crate::{Outcome, root};

/// The docker command of this machine.
pub(crate) fn docker_cli() -> Result<PathBuf, String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|dir| dir.join("docker"))
        .find(|path| path.is_file())
        .ok_or("no docker command on this machine to record with".to_owned())
}

/// A dockerd of the reference engine that belongs to this run.
pub(crate) struct Reference {
    child: Option<Child>,
    /// The API socket, as seen from outside the reference root.
    pub socket: PathBuf,
    /// A folder of this run, removed at the end.
    pub work: PathBuf,
    /// The cgroup that its containers are made below.
    cgroup_parent: String,
    network: Network,
}

/// What its containers reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// Each other, in a network namespace of the daemon's own.
    Own,
    /// With `--network host`, what this machine reaches. There is no other network, and no rule of this machine's firewall
    /// is touched.
    Host,
}

/// Where the reference engine's root folder is.
pub(crate) fn reference_root() -> PathBuf {
    std::env::var_os("REFERENCE_ROOT")
        .map_or_else(|| PathBuf::from("/var/tmp/docker-reference"), PathBuf::from)
}

/// Whether it was set up.
pub(crate) fn is_there() -> bool {
    reference_root().join("usr/sbin/dockerd").exists()
}

/// The script that sets the reference engine up.
pub(crate) fn reference_tool() -> PathBuf {
    std::env::var_os("REFERENCE_ENGINE")
        .map_or_else(|| root().join("../shared/tools/reference-engine"), PathBuf::from)
}

impl Reference {
    /// Starts it and gives it busybox.
    pub(crate) fn start() -> Result<Self, String> {
        Self::start_below("/docker")
    }

    /// Starts it with a cgroup of the caller's as parent of all containers.
    pub(crate) fn start_below(cgroup_parent: &str) -> Result<Self, String> {
        let started = Self::start_empty(cgroup_parent, Network::Own)?;
        import(
            &started.socket,
            &testkit::image::busybox_tar(),
            "repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D",
        )?;
        Ok(started)
    }

    /// Starts it without images, for builds that fetch packages: with `--network host`, the only network there is.
    pub(crate) fn start_with_host_network() -> Result<Self, String> {
        Self::start_empty("/docker", Network::Host)
    }

    fn start_empty(cgroup_parent: &str, network: Network) -> Result<Self, String> {
        let reference = reference_root();
        if !is_there() {
            return Err(format!("no reference engine: run `{} setup` first", reference_tool().display()));
        }
        let name = run_name();
        let socket = reference.join(format!("run/{name}.sock"));
        let work = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        let mut started =
            Self { child: None, socket, work, cgroup_parent: cgroup_parent.to_owned(), network };
        started.start_daemon()?;
        Ok(started)
    }

    /// Starts the daemon (again) and waits until it answers.
    pub(crate) fn start_daemon(&mut self) -> Outcome {
        let name = run_name();
        let work = &self.work;
        let (before, network) = match self.network {
            Network::Own => {
                ("exec unshare --net sh -c 'ip link set lo up; exec \"$@\"' sh", "--bip 172.31.0.1/16")
            }
            Network::Host => ("exec", "--bridge none --iptables=false --ip6tables=false --ip-forward=false"),
        };
        let script = format!(
            "{before} {tool} run dockerd -H unix:///run/{name}.sock --data-root /var/lib/{name} \
             --exec-root /run/{name} --pidfile /run/{name}.pid {network} --cgroup-parent {parent}",
            parent = self.cgroup_parent,
            tool = reference_tool().display()
        );
        let log = std::fs::File::create(work.join("dockerd.log")).map_err(|error| error.to_string())?;
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("start the reference engine: {error}"))?;
        self.child = Some(child);
        self.wait()
    }

    /// Asks the daemon to end and waits for it.
    pub(crate) fn stop_daemon(&mut self) {
        let pid = std::fs::read_to_string(reference_root().join(format!("run/{}.pid", run_name())));
        if let Ok(pid) = pid.unwrap_or_default().trim().parse() {
            signal(pid);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Moves the calling thread into the daemon's network namespace, where loopback is the daemon's.
    pub(crate) fn enter_network(&self) -> Outcome {
        let pid = self.child.as_ref().map(Child::id).ok_or("no running daemon")?;
        let path = format!("/proc/{pid}/ns/net");
        let namespace = std::fs::File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(|error| format!("{path}: {error}"))
    }

    fn wait(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if http::get(&self.socket, "/_ping").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("the reference engine did not answer, see {}", self.work.join("dockerd.log").display()))
    }
}

/// Imports an image into any engine.
pub(crate) fn import(socket: &Path, tar: &Path, query: &str) -> Outcome {
    let name = tar.display();
    let bytes = std::fs::read(tar).map_err(|error| format!("{name}: {error}"))?;
    let target = format!("/images/create?fromSrc=-&{query}");
    let answer = http::request(socket, "POST", &target, &[("Content-Type", "application/x-tar")], &bytes)
        .map_err(|error| format!("import {name}: {error}"))?;
    if answer.status == 200 { Ok(()) } else { Err(format!("import {name}: {}", answer.text())) }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.stop_daemon();
        remove(&reference_root().join("var/lib").join(run_name()));
        remove(&reference_root().join("run").join(run_name()));
        // The daemon takes its pid away, not always its socket.
        let _ = std::fs::remove_file(&self.socket);
        remove(&self.work);
    }
}

/// The name of this run's folders and socket.
pub(crate) fn run_name() -> String {
    format!("parity-{}", std::process::id())
}

fn signal(pid: u32) {
    testkit::engine::signal(pid, rustix::process::Signal::TERM);
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("xtask: left behind {}: {error}", path.display());
    }
}
