//! One engine with its command line, on roots of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::Enclosure;
use crate::Outcome;
use crate::reference::{Reference, docker_cli};

/// An engine that is measured.
pub(crate) struct Contender {
    program: PathBuf,
    work: PathBuf,
    /// The API socket.
    pub socket: PathBuf,
    daemon: Daemon,
}

enum Daemon {
    Docker(Reference),
    Wharf { child: Option<Child>, binary: PathBuf },
}

impl Contender {
    /// Docker 26.1 of the reference root, with the machine's docker command.
    pub(crate) fn docker() -> Result<Self, String> {
        let program = docker_cli()?;
        let reference = Reference::start_below(&Enclosure::parent("docker"))?;
        Ok(Self {
            program,
            work: reference.work.clone(),
            socket: reference.socket.clone(),
            daemon: Daemon::Docker(reference),
        })
    }

    /// wharf, from the folder of release binaries.
    pub(crate) fn wharf(binaries: &Path) -> Result<Self, String> {
        let work = PathBuf::from(format!("/var/tmp/wharf-bench-{}", std::process::id()));
        std::fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        let mut contender = Self {
            program: binaries.join("wharf"),
            socket: work.join("wharf.sock"),
            work,
            daemon: Daemon::Wharf { child: None, binary: binaries.join("wharfd") },
        };
        contender.start()?;
        let tar = std::fs::read(testkit::image::busybox_tar()).map_err(|error| error.to_string())?;
        let target = "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D";
        let headers = [("Content-Type", "application/x-tar")];
        let answer = testkit::http::request(&contender.socket, "POST", target, &headers, &tar)
            .map_err(|error| format!("import busybox: {error}"))?;
        if answer.status != 200 {
            return Err(format!("import busybox: {}", answer.text()));
        }
        Ok(contender)
    }

    /// Starts the daemon; returns milliseconds until it answers.
    pub(crate) fn start(&mut self) -> Result<f64, String> {
        let begin = Instant::now();
        match &mut self.daemon {
            Daemon::Docker(reference) => reference.start_daemon()?,
            Daemon::Wharf { child, binary } => {
                *child = Some(spawn_wharfd(binary, &self.work)?);
                while !testkit::http::get(&self.socket, "/_ping").is_ok_and(|answer| answer.status == 200) {
                    if begin.elapsed() > Duration::from_secs(20) {
                        return Err("wharfd did not answer".to_owned());
                    }
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        }
        Ok(super::measure::milliseconds(begin.elapsed()))
    }

    /// Ends the daemon.
    pub(crate) fn stop(&mut self) {
        match &mut self.daemon {
            Daemon::Docker(reference) => reference.stop_daemon(),
            Daemon::Wharf { child, .. } => {
                if let Some(mut child) = child.take() {
                    testkit::engine::signal(child.id(), rustix::process::Signal::TERM);
                    let _ = child.wait();
                }
            }
        }
    }

    /// Makes something on the loopback interface that the engine sees as its own.
    pub(crate) fn beside<T: Send>(
        &self,
        make: impl FnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        let Daemon::Docker(reference) = &self.daemon else { return make() };
        let enter_and_make = || reference.enter_network().and_then(|()| make());
        std::thread::scope(|scope| {
            scope.spawn(enter_and_make).join().unwrap_or_else(|_| Err("the thread ended early".to_owned()))
        })
    }

    /// A text that is in the command line of each of the engine's processes.
    pub(crate) fn family(&self) -> Vec<u32> {
        match &self.daemon {
            Daemon::Docker(_) => super::measure::family(&format!("/run/{}", crate::reference::run_name())),
            Daemon::Wharf { .. } => super::measure::family(&self.work.to_string_lossy()),
        }
    }

    /// The daemon's process, where it is one that this program started itself.
    pub(crate) fn daemon_pid(&self) -> Option<u32> {
        match &self.daemon {
            Daemon::Docker(_) => None,
            Daemon::Wharf { child, .. } => child.as_ref().map(Child::id),
        }
    }

    /// A folder of this run, removed at the end.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// A command of this contender's command line.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_CONFIG", self.work.join("config"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; output is thrown away, failure is an error.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Outcome {
        let output = self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{} {arguments:?}: {}", self.program.display(), String::from_utf8_lossy(&output.stderr)))
    }

    /// POST over the socket; anything but a success is an error.
    pub(crate) fn post(&self, target: &str, body: &serde_json::Value) -> Result<serde_json::Value, String> {
        let answer =
            testkit::http::post(&self.socket, target, body).map_err(|error| format!("{target}: {error}"))?;
        if answer.status >= 300 {
            return Err(format!("{target}: {} {}", answer.status, answer.text()));
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or(serde_json::Value::Null))
    }

    /// Removes all containers.
    pub(crate) fn remove_all(&self) -> Outcome {
        let answer =
            testkit::http::get(&self.socket, "/containers/json?all=1").map_err(|error| error.to_string())?;
        for container in answer.json().as_array().into_iter().flatten() {
            let id = container["Id"].as_str().unwrap_or_default();
            testkit::http::request(
                &self.socket,
                "DELETE",
                &format!("/containers/{id}?force=1&v=1"),
                &[],
                b"",
            )
            .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn spawn_wharfd(binary: &Path, work: &Path) -> Result<Child, String> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(work.join("wharfd.log"))
        .map_err(|error| error.to_string())?;
    Command::new(binary)
        .args(["--config-file", "/dev/null", "--bridge-name", "wharfbench0"])
        .args(["--bip", "10.214.0.1/16", "--cgroup-parent", &Enclosure::parent("wharf")])
        .arg("--data-root")
        .arg(work.join("data"))
        .arg("--exec-root")
        .arg(work.join("exec"))
        .arg("--pidfile")
        .arg(work.join("pid"))
        .arg("--host")
        .arg(format!("unix://{}/wharf.sock", work.display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("start wharfd: {error}"))
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.remove_all();
        if matches!(self.daemon, Daemon::Wharf { .. }) {
            self.stop();
            let _ = Command::new("ip").args(["link", "delete", "wharfbench0"]).output();
            let _ = std::fs::remove_dir_all(&self.work);
        }
    }
}
