//! A remembered container and what can be done with it.

use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use linux::cgroup::{Cgroup, Hierarchies};
use oci::runtime::{Resources, Spec, State, Status};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Step;
use crate::store::{Error, Record, Result, read, write};

/// A container of a [`crate::store::Store`].
#[derive(Clone, Debug)]
pub struct Container {
    directory: PathBuf,
    record: Record,
}

/// How long processes may take to stand still or to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// From its directory and its record.
    pub(crate) fn new(directory: PathBuf, record: Record) -> Self {
        Self { directory, record }
    }

    /// Remembers a new container in a reserved directory.
    pub fn remember(directory: PathBuf, mut record: Record, spec: &Spec) -> Result<Self> {
        record.start_time = start_time(record.pid).map_or(0, |(time, _)| time);
        write(&directory.join("config.json"), spec)?;
        write(&directory.join("state.json"), &record)?;
        Ok(Self { directory, record })
    }

    /// What is remembered.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The specification as it was at creation.
    pub fn spec(&self) -> Result<Spec> {
        read(&self.directory.join("config.json"))
    }

    /// Where the container is in its life.
    pub fn status(&self) -> Status {
        if !self.is_alive() {
            return Status::Stopped;
        }
        if self.directory.join(GATE).exists() {
            return Status::Created;
        }
        if self.cgroup().is_some_and(|cgroup| cgroup.is_frozen()) { Status::Paused } else { Status::Running }
    }

    /// The state document of the specification.
    pub fn state(&self) -> State {
        let status = self.status();
        State {
            oci_version: self.record.oci_version.clone(),
            id: self.record.id.clone(),
            status,
            pid: if status == Status::Stopped { 0 } else { self.record.pid },
            bundle: self.record.bundle.display().to_string(),
            annotations: self.record.annotations.clone(),
        }
    }

    /// Lets the command run, and runs the hooks that follow.
    pub fn start(&self) -> Result<()> {
        match self.status() {
            Status::Created => {}
            Status::Stopped => return Err(state("cannot start a container that has stopped")),
            _ => return Err(state("cannot start an already running container")),
        }
        let gate = self.directory.join(GATE);
        let socket = connect(&gate).map_err(|source| Error::File { path: gate.clone(), source })?;
        crate::gate::open(&socket)?;
        std::fs::remove_file(&gate).map_err(|source| Error::File { path: gate, source })?;
        let spec = self.spec()?;
        if let Some(hooks) = &spec.hooks {
            crate::hook::run("poststart", &hooks.poststart, &self.state())?;
        }
        Ok(())
    }

    /// Sends a signal to process 1, or to all processes.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        if all {
            let cgroup = self.cgroup().ok_or_else(|| state("container not running"))?;
            return Ok(cgroup.signal(signal)?);
        }
        if self.status() == Status::Stopped {
            return Err(state("container not running"));
        }
        let pidfd = self.pidfd()?;
        let sent = linux::pidfd::send_signal(pidfd.as_fd(), signal);
        sent.map_err(crate::Error::system(Step::Unknown, "kill"))
            .map_err(|_| state("container not running"))?;
        // A frozen process takes no signal, not even the last one, before it is let go (version 1).
        if signal == 9 && self.status() == Status::Paused {
            self.resume()?;
        }
        Ok(())
    }

    /// Removes what is left of the container: processes, cgroup, record; then runs the hooks that follow. With `force`
    /// also one that runs.
    pub fn remove(&self, force: bool) -> Result<()> {
        let status = self.status();
        if !force && !matches!(status, Status::Stopped | Status::Created) {
            let id = &self.record.id;
            return Err(state(&format!("cannot delete container {id} that is not stopped: {status}\n")));
        }
        if status != Status::Stopped {
            self.end()?;
        }
        if let Some(cgroup) = self.cgroup() {
            cgroup.kill_all(PATIENCE)?;
            cgroup.remove(PATIENCE)?;
        }
        let spec = self.spec();
        let gone = State { status: Status::Stopped, pid: 0, ..self.state() };
        let path = &self.directory;
        std::fs::remove_dir_all(path).map_err(|source| Error::File { path: path.clone(), source })?;
        if let Ok(Spec { hooks: Some(hooks), .. }) = spec {
            crate::hook::run("poststop", &hooks.poststop, &gone)?;
        }
        Ok(())
    }

    /// Stops all processes where they are.
    pub fn pause(&self) -> Result<()> {
        match self.status() {
            Status::Running | Status::Created => Ok(self.needed_cgroup()?.freeze(PATIENCE)?),
            _ => Err(state("container not running or created: cannot pause")),
        }
    }

    /// Lets paused processes go on.
    pub fn resume(&self) -> Result<()> {
        match self.status() {
            Status::Paused => Ok(self.needed_cgroup()?.thaw(PATIENCE)?),
            _ => Err(state("container not paused")),
        }
    }

    /// Changes limits; those not given stay.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        if self.status() == Status::Stopped {
            return Err(state("container not running"));
        }
        self.needed_cgroup()?.apply(&crate::cgroup::complete(resources))?;
        let mut spec = self.spec()?;
        spec.linux.get_or_insert_default().resources = Some(resources.clone());
        write(&self.directory.join("config.json"), &spec)
    }

    /// Its control group, if it has one that exists.
    pub fn cgroup(&self) -> Option<Cgroup> {
        Hierarchies::detect().ok()?.open(self.record.cgroup.as_deref()?).ok()
    }

    /// A handle of process 1.
    pub fn pidfd(&self) -> Result<OwnedFd> {
        let pidfd = linux::pidfd::open(self.record.pid).map_err(|_| state("container not running"))?;
        // Opened first, checked then: the id cannot have passed to another process in between.
        if self.is_alive() { Ok(pidfd) } else { Err(state("container not running")) }
    }

    fn needed_cgroup(&self) -> Result<Cgroup> {
        self.cgroup().ok_or_else(|| state("container has no cgroup"))
    }

    fn is_alive(&self) -> bool {
        let now = start_time(self.record.pid);
        now.is_some_and(|(time, letter)| time == self.record.start_time && letter != b'Z' && letter != b'X')
    }

    fn end(&self) -> Result<()> {
        let Ok(pidfd) = self.pidfd() else { return Ok(()) };
        let _ = linux::pidfd::send_signal(pidfd.as_fd(), 9);
        if let Some(cgroup) = self.cgroup() {
            cgroup.kill_all(PATIENCE)?;
        }
        match linux::pidfd::wait_end(pidfd.as_fd(), Some(PATIENCE)) {
            Ok(true) => Ok(()),
            _ => Err(state("container init still running")),
        }
    }
}

/// The gate's file name.
pub const GATE: &str = "start.sock";

/// A socket's path may be longer than an address can hold, so its directory is named by a descriptor.
fn connect(path: &Path) -> std::io::Result<OwnedFd> {
    let (directory, address) = short(path)?;
    let socket = packets()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(address)?)?;
    drop(directory);
    Ok(socket)
}

/// Listens at a path that may be longer than an address can hold.
pub fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    let (directory, address) = short(path)?;
    let socket = packets()?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(address)?)?;
    rustix::net::listen(&socket, 8)?;
    drop(directory);
    Ok(socket)
}

fn packets() -> std::io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn short(path: &Path) -> std::io::Result<(std::fs::File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    let address = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, address))
}

fn state(message: &str) -> Error {
    Error::State { message: message.to_owned() }
}

/// When a process began and its state letter; nothing when there is none.
fn start_time(pid: i32) -> Option<(u64, u8)> {
    if pid <= 0 {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.take(4096).read_to_string(&mut text).ok()?;
    // The name in parentheses may hold anything, parentheses and spaces included.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let letter = *fields.next()?.as_bytes().first()?;
    Some((fields.nth(18)?.parse().ok()?, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_apart_by_their_beginning() {
        let own = i32::try_from(std::process::id()).unwrap();
        let (time, letter) = start_time(own).unwrap();
        assert!(time > 0 && b"RS".contains(&letter));
        assert!(start_time(0).is_none());
        let record = Record { pid: own, start_time: time, ..Record::default() };
        assert_eq!(Container::new("/nosuch".into(), record.clone()).status(), Status::Running);
        let other = Record { start_time: time + 1, ..record };
        assert_eq!(Container::new("/nosuch".into(), other).status(), Status::Stopped);
    }
}
