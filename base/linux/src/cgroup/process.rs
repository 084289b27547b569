//! The processes of a group: joining, listing, freezing and killing them.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::file::{Directory, read_at};
use super::group::{Cgroup, children, open_directory};
use super::{Error, Layout, Result};

/// Puts the calling single-threaded process into the groups whose `tasks` files are given. Allocates nothing, so a
/// cloned child may call it.
pub fn join(tasks: &[OwnedFd]) -> io::Result<()> {
    for file in tasks {
        rustix::io::retry_on_intr(|| rustix::io::write(file, b"0"))?;
    }
    Ok(())
}

impl Cgroup {
    /// Moves a process, with all its threads, into the group in every hierarchy. Slow (the kernel waits for a grace
    /// period): for processes that exist already.
    pub fn add(&self, pid: u32) -> Result<()> {
        self.directories().try_for_each(|directory| directory.write("cgroup.procs", &pid.to_string()))
    }

    /// The processes in the group and in the groups below it, in ascending order.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let mut found = BTreeSet::new();
        for directory in self.tracking() {
            collect(directory.fd.as_fd(), &mut found).map_err(|source| Error::Read {
                file: "cgroup.procs".into(),
                path: directory.path.clone(),
                source,
            })?;
        }
        Ok(found.into_iter().collect())
    }

    /// Whether no process is left in the group and below it.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.pids()?.is_empty())
    }

    /// Stops every process of the group where it is; returns when all stand still.
    pub fn freeze(&self, patience: Duration) -> Result<()> {
        self.set_frozen(true, patience)
    }

    /// Lets the processes go on.
    pub fn thaw(&self, patience: Duration) -> Result<()> {
        self.set_frozen(false, patience)
    }

    /// Whether the group is frozen, or freezing.
    pub fn is_frozen(&self) -> bool {
        match self.freezer() {
            Some(Freezer::Legacy(directory)) => {
                directory.text("freezer.state").is_some_and(|state| state.trim() != "THAWED")
            }
            Some(Freezer::Unified(directory)) => {
                directory.text("cgroup.freeze").is_some_and(|state| state.trim() == "1")
            }
            None => false,
        }
    }

    /// Sends a signal to every process of the group; processes that just ended are no error.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let Some(signal) = Signal::from_named_raw(signal) else { return Ok(()) };
        for pid in self.pids()? {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
        }
        Ok(())
    }

    /// Kills every process of the group, also those it makes meanwhile, and waits until they are gone.
    pub fn kill_all(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let at_once = match &self.unified {
            Some(directory) => directory.write_if_present("cgroup.kill", "1").unwrap_or(false),
            None => false,
        };
        if at_once {
            // A process frozen by version 2 dies at once; one frozen by version 1 has to be let go first.
            self.thaw_legacy();
        }
        let mut pause = Duration::from_micros(100);
        loop {
            if self.is_empty()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.deadline("empty", patience));
            }
            if !(at_once && self.layout == Layout::Unified) {
                self.kill_round();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Freezing first keeps the list from growing while it is worked through.
    fn kill_round(&self) {
        let _ = self.freeze(Duration::from_millis(20));
        let _ = self.signal(libc::SIGKILL);
        let _ = self.thaw(Duration::from_millis(20));
    }

    fn thaw_legacy(&self) {
        if let Some(Freezer::Legacy(directory)) = self.freezer() {
            let _ = directory.write("freezer.state", "THAWED");
        }
    }

    fn set_frozen(&self, frozen: bool, patience: Duration) -> Result<()> {
        let freezer = self.freezer().ok_or(Error::Controller { controller: "freezer", limit: "pause" })?;
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(50);
        loop {
            freezer.request(frozen)?;
            if freezer.reached(frozen)? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                if frozen {
                    freezer.request(false)?;
                }
                return Err(self.deadline(if frozen { "frozen" } else { "thawed" }, patience));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn deadline(&self, state: &'static str, patience: Duration) -> Error {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Error::Deadline { path: self.path.clone(), state, milliseconds }
    }

    fn freezer(&self) -> Option<Freezer<'_>> {
        if self.layout == Layout::Unified {
            return self.unified.as_ref().map(Freezer::Unified);
        }
        self.directory("freezer").map(Freezer::Legacy)
    }

    /// The directories that together know every process: version 2, and one of version 1.
    fn tracking(&self) -> impl Iterator<Item = &Directory> {
        let legacy = ["freezer", "pids", "memory"]
            .iter()
            .find_map(|name| if self.layout == Layout::Unified { None } else { self.directory(name) });
        let legacy = legacy.or_else(|| self.legacy.first().map(|legacy| &legacy.directory));
        self.unified.iter().chain(legacy)
    }
}

enum Freezer<'a> {
    Legacy(&'a Directory),
    Unified(&'a Directory),
}

impl Freezer<'_> {
    fn request(&self, frozen: bool) -> Result<()> {
        match self {
            // Version 1 can get stuck in FREEZING; asking again makes the kernel look again.
            Self::Legacy(directory) => {
                directory.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
            }
            Self::Unified(directory) => directory.write("cgroup.freeze", if frozen { "1" } else { "0" }),
        }
    }

    fn reached(&self, frozen: bool) -> Result<bool> {
        match self {
            Self::Legacy(directory) => {
                Ok(directory.read("freezer.state")?.trim() == if frozen { "FROZEN" } else { "THAWED" })
            }
            Self::Unified(directory) => {
                let events = directory.read("cgroup.events")?;
                Ok(events.lines().any(|line| line == if frozen { "frozen 1" } else { "frozen 0" }))
            }
        }
    }
}

fn collect(directory: BorrowedFd<'_>, found: &mut BTreeSet<u32>) -> io::Result<()> {
    let mut text = String::new();
    match read_at(directory, "cgroup.procs", &mut text) {
        Ok(()) => {}
        // A threaded group lists its processes at its domain; a removed one has none.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENODEV | libc::ENOENT)) => {}
        Err(error) => return Err(error),
    }
    found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    for child in children(directory, ".") {
        if let Ok(child) = open_directory(directory, child.as_str()) {
            collect(child.as_fd(), found)?;
        }
    }
    Ok(())
}
