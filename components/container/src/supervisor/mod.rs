//! Supervision: one shim per container, one thread that listens to all of them.
//!
//! Requests go out on the caller's thread and wait for their answer until a deadline; the pump thread delivers answers
//! and events. A shim that sleeps delays only those who ask it something.

mod error;
mod group;
mod link;
mod pump;
mod recover;
mod spawn;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::ContainerId;
use shim_protocol::{Answer, Attach, Command, Create, Event, Exec, Exit, Snapshot, Started, Target};

pub use error::ShimError;
pub use group::ShimGroup;
use link::Link;
pub use recover::Recovered;

/// How long a shim may take for ordinary requests.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to make or start a container or an exec.
pub const START_DEADLINE: Duration = Duration::from_secs(120);

/// Where shims come from and where they live.
#[derive(Debug)]
pub struct SupervisorConfig {
    /// The wharf-shim program; read once.
    pub shim_binary: PathBuf,
    /// `<exec-root>/containers`, with one directory for each container that runs.
    pub containers_dir: PathBuf,
    /// The control group shims live in, made if need be: not the engine's, so that whoever ends everything in that one
    /// (a service manager) ends no container. Without one they stay with the engine.
    pub group: Option<ShimGroup>,
}

/// What the supervisor reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShimEvent {
    /// Something the shim said.
    Said(Event),
    /// The shim is gone without an exit record: the container is dead and what was left of it has been killed.
    Lost(Exit),
}

/// Takes the events of all shims, on the supervisor's own thread: it must hand over long work.
pub type OnEvent = Box<dyn Fn(&ContainerId, ShimEvent) + Send + Sync>;

/// Everything about shims.
pub struct Supervisor {
    shared: Arc<Shared>,
    program: OwnedFd,
    group: Option<ShimGroup>,
}

struct Shared {
    containers_dir: PathBuf,
    epoll: OwnedFd,
    wake: OwnedFd,
    links: Mutex<Links>,
    // Told whenever a link is removed.
    unlinked: Condvar,
    on_event: OnEvent,
}

#[derive(Default)]
struct Links {
    by_container: HashMap<ContainerId, Arc<Link>>,
    by_token: HashMap<u64, Arc<Link>>,
    // Dead shims of ours whose process has not been collected yet.
    children: HashMap<u64, spawn::ShimProcess>,
    next_token: u64,
    closing: bool,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Supervisor")
            .field("containers_dir", &self.shared.containers_dir)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.containers_dir.join(id.as_str())
    }
}

impl Supervisor {
    /// Removes the shims' control group if no shim is left in it, waiting so long for those that are about to end.
    pub fn leave_group(&self, patience: Duration) {
        self.group.iter().for_each(|group| group.leave(patience));
    }

    /// Reads the shim program into a sealed memory file and starts the listening thread.
    ///
    /// # Errors
    /// When the program can't be read or the directory not made.
    pub fn open(config: SupervisorConfig, on_event: OnEvent) -> Result<Self, ShimError> {
        let program = spawn::seal_program(&config.shim_binary)?;
        make_private_dir(&config.containers_dir)?;
        let shared = Arc::new(Shared {
            containers_dir: config.containers_dir,
            epoll: rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)
                .map_err(ShimError::Watch)?,
            wake: rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
                .map_err(ShimError::Watch)?,
            links: Mutex::default(),
            unlinked: Condvar::new(),
            on_event,
        });
        pump::start(Arc::clone(&shared))?;
        Ok(Self { shared, program, group: config.group })
    }

    /// The container's directory below the exec root.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.shared.directory(id)
    }

    /// Whether a shim is connected for the container.
    pub fn is_connected(&self, id: &ContainerId) -> bool {
        self.link(id).is_ok()
    }

    /// Ids of all containers with a connected shim.
    pub fn connected(&self) -> Vec<ContainerId> {
        let links = self.shared.links();
        links.by_container.values().filter(|link| !link.is_finished()).map(|link| link.id.clone()).collect()
    }

    /// Waits until an acknowledged shim has put everything away (cgroup, root file system) and ended; false when it
    /// has not in time. True at once when there is none.
    pub fn wait_gone(&self, id: &ContainerId, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut links = self.shared.links();
        while links.by_container.contains_key(id) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.unlinked.wait_timeout(links, left);
            links = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Starts a shim for the container and connects it. `Supervisor::create` comes next. Waits for an earlier shim of
    /// the same container that has been acknowledged and is still putting things away.
    ///
    /// # Errors
    /// When there is one already, or none can be started.
    pub fn spawn(&self, id: &ContainerId) -> Result<(), ShimError> {
        if self.is_connected(id) || !self.wait_gone(id, REQUEST_DEADLINE) {
            return Err(ShimError::Exists { id: id.to_string() });
        }
        let directory = self.shared.directory(id);
        make_private_dir(&directory)?;
        for stale in [shim_protocol::EXIT_NAME, shim_protocol::SOCKET_NAME] {
            let _ = std::fs::remove_file(directory.join(stale));
        }
        let (socket, process) = spawn::start(self.program.as_fd(), self.group.as_ref(), id, &directory)?;
        pump::watch(&self.shared, id, socket, Some(process)).map(|_| ())
    }

    /// Has the shim make the container (and start it at once when `create.start` is set). Give clients that wait for
    /// the start to [`Supervisor::attach`] first. `mount` is the one the root file system names, if it names one.
    ///
    /// # Errors
    /// The shim's failure with the runtime's text, or the connection's.
    pub fn create(
        &self,
        id: &ContainerId,
        create: Create,
        seccomp: &[u8],
        netns: Option<BorrowedFd<'_>>,
        mount: Option<BorrowedFd<'_>>,
    ) -> Result<Created, ShimError> {
        let create = Create { netns: netns.is_some(), ..create };
        let remembered = spawn::Remembered { cgroup: cgroup_path(&create) };
        remembered.write(&self.shared.directory(id))?;
        let descriptors: Vec<BorrowedFd<'_>> = netns.into_iter().chain(mount).collect();
        let link = self.link(id)?;
        link.remember_cgroup(remembered.cgroup);
        match link.request(Command::Create(Box::new(create)), seccomp, &descriptors, START_DEADLINE)? {
            Answer::Created { pid } => Ok(Created { pid, started: None }),
            Answer::Started(started) => Ok(Created { pid: started.pid, started: Some(started) }),
            _ => Err(ShimError::WrongAnswer { id: id.to_string() }),
        }
    }

    /// Lets a created container's process run.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn start(&self, id: &ContainerId) -> Result<Started, ShimError> {
        self.ask_started(id, Command::Start, &[], &[])
    }

    /// Runs another process in the container; `client` is the socket that gets its streams (`exec.attach` says how).
    ///
    /// # Errors
    /// The shim's failure or the connection's; nothing was written to the client then.
    pub fn exec(
        &self,
        id: &ContainerId,
        exec: Exec,
        seccomp: &[u8],
        client: Option<BorrowedFd<'_>>,
    ) -> Result<Started, ShimError> {
        let descriptors: Vec<BorrowedFd<'_>> = client.into_iter().collect();
        self.ask_started(id, Command::Exec(Box::new(exec)), seccomp, &descriptors)
    }

    /// Hands a client's socket to the shim, which from now on speaks with it alone. Possible before `create` too.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn attach(&self, id: &ContainerId, attach: Attach, client: BorrowedFd<'_>) -> Result<(), ShimError> {
        self.link(id)?.request(Command::Attach(attach), &[], &[client], REQUEST_DEADLINE).map(|_| ())
    }

    /// Sets a terminal's size.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn resize(&self, id: &ContainerId, target: Target, height: u16, width: u16) -> Result<(), ShimError> {
        self.ask_done(id, Command::Resize { target, height, width })
    }

    /// Sends a signal to the init process, an exec process, or (with `all`) every process.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn signal(&self, id: &ContainerId, target: Target, signal: i32, all: bool) -> Result<(), ShimError> {
        self.ask_done(id, Command::Signal { target, signal, all })
    }

    /// Freezes the container's processes.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn pause(&self, id: &ContainerId) -> Result<(), ShimError> {
        self.ask_done(id, Command::Pause)
    }

    /// Lets frozen processes go on.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn resume(&self, id: &ContainerId) -> Result<(), ShimError> {
        self.ask_done(id, Command::Resume)
    }

    /// Everything the shim knows.
    ///
    /// # Errors
    /// The shim's failure or the connection's.
    pub fn state(&self, id: &ContainerId) -> Result<Snapshot, ShimError> {
        match self.link(id)?.request(Command::State, &[], &[], REQUEST_DEADLINE)? {
            Answer::State(snapshot) => Ok(*snapshot),
            _ => Err(ShimError::WrongAnswer { id: id.to_string() }),
        }
    }

    /// The exit has been taken over (or the container was never started): the shim ends, its directory goes. Does
    /// not wait for the shim's end.
    pub fn acknowledge(&self, id: &ContainerId) {
        if let Ok(link) = self.link(id) {
            link.finish();
        }
        self.forget(id);
    }

    /// Removes the container's directory below the exec root, but for an auto-removed container's record.
    pub fn forget(&self, id: &ContainerId) {
        let directory = self.shared.directory(id);
        for name in [shim_protocol::EXIT_NAME, shim_protocol::SOCKET_NAME, spawn::REMEMBERED_NAME] {
            let _ = std::fs::remove_file(directory.join(name));
        }
        // Fails while the record is there, which is right.
        let _ = std::fs::remove_dir(&directory);
    }

    /// Kills whatever a container has left running, its shim included, without the shim's help.
    pub fn kill_hard(&self, id: &ContainerId) {
        if let Ok(link) = self.link(id) {
            link.kill_shim();
        }
    }

    /// Connects to every shim that outlived the last engine and says how each container is.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn recover(&self) -> Result<Vec<Recovered>, ShimError> {
        recover::all(&self.shared)
    }

    fn link(&self, id: &ContainerId) -> Result<Arc<Link>, ShimError> {
        let links = self.shared.links();
        let link = links.by_container.get(id).filter(|link| !link.is_finished());
        link.map(Arc::clone).ok_or_else(|| ShimError::NoShim { id: id.to_string() })
    }

    fn ask_done(&self, id: &ContainerId, command: Command) -> Result<(), ShimError> {
        self.link(id)?.request(command, &[], &[], REQUEST_DEADLINE).map(|_| ())
    }

    fn ask_started(
        &self,
        id: &ContainerId,
        command: Command,
        tail: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Started, ShimError> {
        match self.link(id)?.request(command, tail, descriptors, START_DEADLINE)? {
            Answer::Started(started) => Ok(started),
            _ => Err(ShimError::WrongAnswer { id: id.to_string() }),
        }
    }
}

impl Drop for Supervisor {
    /// Ends the listening thread and the connections; shims and containers go on.
    fn drop(&mut self) {
        self.shared.links().closing = true;
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The init process as the host numbers it.
    pub pid: i32,
    /// Set when it was started too.
    pub started: Option<Started>,
}

fn cgroup_path(create: &Create) -> String {
    create.spec.linux.as_ref().map(|linux| linux.cgroups_path.clone()).unwrap_or_default()
}

fn make_private_dir(path: &Path) -> Result<(), ShimError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|cause| ShimError::Directory { path: path.to_owned(), cause })
}
