//! Making and starting the container, and steering its processes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use linux::overlay::Lower;
use model::Timestamp;
use oci::runtime::NamespaceType;
use rustix::event::epoll::EventFlags;
use shim_protocol::{
    Answer, Create, Failure, FailureKind, LogTarget, Overlay, Phase, Rootfs, Rotation, Started, Target,
};

use crate::process::Streams;
use crate::shim::{INIT, Shim, conflict, internal, invalid, no_process};
use crate::watch::Token;

/// How long processes may take to stand still.
const FREEZE_PATIENCE: Duration = Duration::from_secs(5);

const SIGKILL: i32 = 9;

impl Shim {
    /// Makes the container, and starts it when asked.
    pub(crate) fn create(
        &mut self,
        create: Create,
        seccomp: Vec<u8>,
        mut descriptors: impl Iterator<Item = OwnedFd>,
    ) -> Result<Answer, Failure> {
        if self.phase != Phase::Empty {
            return Err(conflict("the container is made already"));
        }
        let netns = create.netns.then(|| descriptors.next());
        let netns = netns.map(|netns| netns.ok_or_else(|| invalid("the network namespace is missing")));
        let netns = netns.transpose()?;
        let process =
            create.spec.process.as_ref().ok_or_else(|| invalid("the configuration has no process"))?;
        let tty = process.terminal;
        let size =
            process.console_size.as_ref().map_or((0, 0), |size| (narrow(size.height), narrow(size.width)));
        let streams = Streams::new(tty, size, create.open_stdin)
            .map_err(|error| internal(&format!("making the standard streams: {error}")))?;
        self.log = open_log(&create.log)?;
        let (start, open_stdin, stdin_once) = (create.start, create.open_stdin, create.stdin_once);
        let request = self.request(create, streams.stdio, seccomp, netns, descriptors.next())?;
        let mut created = runtime::create(request).map_err(|error| failure(&error))?;
        let pid = created.pid;
        let init = self.processes.entry(INIT).or_default();
        init.pid = pid;
        init.pidfd = created.pidfd.try_clone().ok();
        init.tty = tty;
        init.stdin_once = stdin_once;
        let ends = [streams.stdin, streams.stdout, streams.stderr];
        let connected = init.connect(INIT, ends, created.pty_master.take(), &self.watch);
        if tty && !open_stdin {
            init.stdin = None;
        }
        self.cgroup = created.cgroup.take();
        self.created = Some(created);
        self.phase = Phase::Created;
        if let Err(error) = connected {
            self.undo_create();
            return Err(internal(&format!("watching the standard streams: {error}")));
        }
        self.watch_memory();
        // Clients that came before the process can speak to it now.
        self.write_stdin(INIT);
        if start {
            return self.start().inspect_err(|_| self.undo_create());
        }
        Ok(Answer::Created { pid })
    }

    fn request(
        &self,
        create: Create,
        stdio: runtime::Stdio,
        seccomp: Vec<u8>,
        netns: Option<OwnedFd>,
        mount: Option<OwnedFd>,
    ) -> Result<runtime::CreateRequest, Failure> {
        let cgroup_path =
            create.spec.linux.as_ref().map(|linux| linux.cgroups_path.clone()).unwrap_or_default();
        let mut request = runtime::CreateRequest::new(create.id, create.spec, &self.directory);
        request.root = match create.rootfs {
            Rootfs::Directory(path) => runtime::RootTree::Directory(path),
            Rootfs::Overlay(overlay) => overlay_tree(overlay, mount)?,
        };
        request.stdio = stdio;
        request.die_with_parent = true;
        request.seccomp = (!seccomp.is_empty()).then_some(seccomp);
        if !cgroup_path.is_empty() {
            request.cgroup = Some(runtime::CgroupPlacement { path: cgroup_path, resources: None });
        }
        if create.init {
            let program = linux::process::own_program()
                .map_err(|error| internal(&format!("opening the init program: {error}")))?;
            let arguments =
                vec!["/sbin/wharf-init".to_owned(), crate::INIT_ARGUMENT.to_owned(), "--".to_owned()];
            request.init = Some(runtime::InitProgram { program, arguments });
        }
        if let Some(netns) = netns {
            request.namespaces.push((NamespaceType::Network, netns));
        }
        Ok(request)
    }

    /// Lets the process run.
    pub(crate) fn start(&mut self) -> Result<Answer, Failure> {
        if self.phase != Phase::Created {
            return Err(conflict("the container does not wait for its start"));
        }
        let Some(created) = &mut self.created else { return Err(internal("the container is not there")) };
        created.start().map_err(|error| failure(&error))?;
        let started = Started { pid: created.pid, at: Timestamp::now() };
        self.started_at = Some(started.at);
        self.phase = Phase::Running;
        Ok(Answer::Started(started))
    }

    /// Takes back a container that was made and could not be started.
    pub(crate) fn undo_create(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.kill_all(FREEZE_PATIENCE);
        }
        if let Some(pidfd) = self.processes.get(&INIT).and_then(|init| init.pidfd.as_ref()) {
            let _ = linux::pidfd::send_signal(pidfd.as_fd(), SIGKILL);
            let _ = linux::pidfd::wait(pidfd.as_fd());
        }
        self.drain_outputs(INIT);
        self.processes.insert(INIT, crate::process::Process::default());
        self.oom = None;
        self.created = None;
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.remove(FREEZE_PATIENCE);
        }
        self.phase = Phase::Empty;
    }

    fn watch_memory(&mut self) {
        let Some(Ok(Some(watch))) = self.cgroup.as_ref().map(linux::cgroup::Cgroup::watch_oom) else {
            return;
        };
        let interest = EventFlags::from_bits_truncate(u32::from(watch.interest().bits()));
        if self.watch.add(&watch, Token::OutOfMemory, interest).is_ok() {
            self.oom = Some(watch);
        }
    }

    pub(crate) fn out_of_memory(&mut self) {
        let (Some(oom), Some(cgroup)) = (&self.oom, &self.cgroup) else { return };
        if oom.acknowledge(cgroup) && !self.oom_killed {
            self.oom_killed = true;
            self.report(shim_protocol::Event::OutOfMemory);
        }
    }

    pub(crate) fn resize(&mut self, target: &Target, height: u16, width: u16) -> Result<Answer, Failure> {
        let process = self.find(target)?;
        let Some(terminal) = &process.terminal else {
            // Docker takes the size of something without a terminal in silence.
            return Ok(Answer::Done);
        };
        linux::terminal::resize(terminal, height, width)
            .map_err(|error| internal(&format!("resizing: {error}")))?;
        Ok(Answer::Done)
    }

    pub(crate) fn signal(&mut self, target: &Target, signal: i32, all: bool) -> Result<Answer, Failure> {
        if all && let Some(cgroup) = &self.cgroup {
            cgroup.signal(signal).map_err(|error| internal(&model::error::chain(&error)))?;
        } else {
            let process = self.find(target)?;
            let pidfd = process.pidfd.as_ref().filter(|_| process.exit.is_none());
            let pidfd = pidfd.ok_or_else(|| conflict("the process is not running"))?;
            linux::pidfd::send_signal(pidfd.as_fd(), signal).map_err(|error| match error {
                linux::Errno::SRCH => conflict("the process is not running"),
                error => internal(&format!("sending signal {signal}: {error}")),
            })?;
        }
        if signal == SIGKILL && self.phase == Phase::Paused {
            // Frozen processes die only when they go on.
            let _ = self.resume();
        }
        Ok(Answer::Done)
    }

    pub(crate) fn pause(&mut self) -> Result<Answer, Failure> {
        if self.phase != Phase::Running {
            return Err(conflict("the container is not running"));
        }
        let Some(cgroup) = &self.cgroup else { return Err(conflict("the container has no cgroup")) };
        cgroup.freeze(FREEZE_PATIENCE).map_err(|error| internal(&model::error::chain(&error)))?;
        self.phase = Phase::Paused;
        Ok(Answer::Done)
    }

    pub(crate) fn resume(&mut self) -> Result<Answer, Failure> {
        if self.phase != Phase::Paused {
            return Err(conflict("the container is not paused"));
        }
        let Some(cgroup) = &self.cgroup else { return Err(conflict("the container has no cgroup")) };
        cgroup.thaw(FREEZE_PATIENCE).map_err(|error| internal(&model::error::chain(&error)))?;
        self.phase = Phase::Running;
        Ok(Answer::Done)
    }

    fn find(&self, target: &Target) -> Result<&crate::process::Process, Failure> {
        let index = match target {
            Target::Init => Some(INIT),
            Target::Exec(id) => self.exec_number(id),
        };
        index.and_then(|index| self.processes.get(&index)).filter(|process| process.pid != 0).ok_or_else(
            || match target {
                Target::Init => conflict("the container is not running"),
                Target::Exec(id) => no_process(id),
            },
        )
    }
}

pub(crate) fn narrow(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// The runtime's failure for the engine.
pub(crate) fn failure(error: &runtime::Error) -> Failure {
    use model::{ErrorKind, Kinded};
    let kind = match (error.command_exit_code(), error.kind()) {
        (Some(127), _) => FailureKind::CommandNotFound,
        (Some(_), _) => FailureKind::CommandNotExecutable,
        (None, ErrorKind::Invalid) => FailureKind::Invalid,
        (None, _) => FailureKind::Internal,
    };
    Failure { kind, text: model::error::chain(error) }
}

fn overlay_tree(overlay: Overlay, mount: Option<OwnedFd>) -> Result<runtime::RootTree, Failure> {
    let mut lowers: Vec<Lower> = overlay.lower.into_iter().map(Lower::from).collect();
    if let Some(path) = overlay.mount {
        let mount = mount.ok_or_else(|| invalid("the mount below the root is missing"))?;
        lowers.push(Lower::Mount(Arc::new(mount), path));
    }
    Ok(match (overlay.upper, overlay.work) {
        (Some(upper), Some(work)) => {
            runtime::RootTree::Overlay { lowers, upper, work, volatile: overlay.volatile }
        }
        _ => runtime::RootTree::OverlayView { lowers },
    })
}

fn open_log(target: &LogTarget) -> Result<Option<jsonlog::Writer>, Failure> {
    use jsonlog::Format;
    let (path, rotation, format, attributes) = match target {
        LogTarget::None => return Ok(None),
        LogTarget::JsonFile { path, rotation, attributes } => {
            (path, rotation, Format::Json, attributes.clone())
        }
        LogTarget::Local { path, rotation } => {
            (path, rotation, Format::Compact, std::collections::BTreeMap::new())
        }
    };
    let Rotation { max_size, max_files, compress } = *rotation;
    let options =
        jsonlog::Options { max_size: max_size.unwrap_or(0), max_files, compress, format, attributes };
    let opened = jsonlog::Writer::open(path, options);
    opened.map(Some).map_err(|error| internal(&model::error::chain(&error)))
}
