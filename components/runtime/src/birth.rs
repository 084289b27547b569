//! The maker's side of a birth: answers the new process until it is ready, or says why it never will be.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::Errno;
use linux::clone::Child;
use oci::runtime::{Hooks, Process, Spec, State};

use crate::child::{LookupKind, lookup_kind};
use crate::error::{Error, Result};
use crate::hook::HookFiles;
use crate::plan::{Plan, mount_name};
use crate::report::{self, Failure, Message};
use crate::step::Step;

/// A process just made.
#[derive(Debug)]
pub(crate) enum Birth {
    /// The container's own.
    Direct(Child),
    /// The one in between, which tells of the other and ends.
    Staged(Child),
}

/// What the maker knows while it listens.
pub(crate) struct Watch<'a> {
    channel: BorrowedFd<'a>,
    process: &'a Process,
    oom_score: Option<i64>,
    /// The new process waits for a word after its id maps are written.
    waits: bool,
    /// An additional process executes without waiting at a gate.
    gated: bool,
    container: Option<Container<'a>>,
    state: State,
    listener: Option<(&'a str, &'a str)>,
}

/// What is different for the first process of a container.
struct Container<'a> {
    spec: &'a Spec,
    maps: Option<(&'a str, &'a str)>,
    hook_files: Option<&'a HookFiles>,
}

type Ready = (i32, OwnedFd, Option<OwnedFd>);

impl<'a> Watch<'a> {
    /// For the first process of a container.
    pub(crate) fn of_container(
        channel: BorrowedFd<'a>,
        plan: &'a Plan,
        (spec, process): (&'a Spec, &'a Process),
        state: State,
        waits: bool,
    ) -> Self {
        let namespaces = &plan.namespaces;
        let maps = (namespaces.uid_map.as_str(), namespaces.gid_map.as_str());
        let listener =
            plan.process.listener.as_ref().map(|(path, metadata)| (path.as_str(), metadata.as_str()));
        let container = Container {
            spec,
            maps: Some(maps).filter(|_| namespaces.makes_user()),
            hook_files: plan.hooks.files.as_ref(),
        };
        Self {
            channel,
            process,
            oom_score: plan.process.oom_score,
            waits,
            gated: true,
            container: Some(container),
            state,
            listener,
        }
    }

    /// For an additional process.
    pub(crate) fn of_exec(channel: BorrowedFd<'a>, process: &'a Process) -> Self {
        let oom_score = process.oom_score_adj;
        let state = State::default();
        Self {
            channel,
            process,
            oom_score,
            waits: true,
            gated: false,
            container: None,
            state,
            listener: None,
        }
    }

    /// Answers until the process is ready. When it fails, it and the one in between are gone afterwards.
    pub(crate) fn until_ready(mut self, birth: Birth) -> Result<Ready> {
        let mut made = None;
        let result = match birth {
            Birth::Direct(child) => {
                let begun = self.begin(child.pid);
                made = Some((child.pid, child.pidfd));
                begun.and_then(|()| self.listen(&mut made))
            }
            Birth::Staged(stage) => {
                let result = self.listen(&mut made);
                let _ = linux::pidfd::wait(stage.pidfd.as_fd());
                result
            }
        };
        match (result, made) {
            (Ok(terminal), Some((pid, pidfd))) => Ok((pid, pidfd, terminal)),
            (result, made) => {
                if let Some((_, pidfd)) = made {
                    let _ = linux::pidfd::send_signal(pidfd.as_fd(), 9);
                    let _ = linux::pidfd::wait(pidfd.as_fd());
                }
                Err(result.err().unwrap_or(Error::Lost))
            }
        }
    }

    /// What the maker does for a process that has an id now.
    fn begin(&mut self, pid: i32) -> Result<()> {
        self.state.pid = pid;
        if let Some(score) = self.oom_score {
            set_oom_score(pid, score)?;
        }
        if let Some(container) = &self.container {
            if let Some((uids, gids)) = container.maps {
                crate::id_map::write(pid, uids, gids)?;
            }
            if let Some(files) = container.hook_files {
                files.fill(&self.state)?;
            }
        }
        if self.waits { self.proceed() } else { Ok(()) }
    }

    fn proceed(&self) -> Result<()> {
        report::proceed(self.channel).map_err(Error::system(Step::Channel, ""))
    }

    fn listen(&mut self, made: &mut Option<(i32, OwnedFd)>) -> Result<Option<OwnedFd>> {
        let mut terminal = None;
        loop {
            match report::receive(self.channel).map_err(Error::system(Step::Channel, ""))? {
                Message::Process(pid, pidfd) => {
                    *made = Some((pid, pidfd));
                    self.begin(pid)?;
                }
                Message::Mounted => {
                    self.run_hooks()?;
                    self.proceed()?;
                }
                Message::Terminal(master) => terminal = Some(master),
                Message::Listener(listener) => self.hand_over(&listener)?,
                Message::Ready => return Ok(terminal),
                Message::Failed(failure) => return Err(self.explain(failure)),
                Message::Closed if self.gated || made.is_none() => return Err(Error::Lost),
                Message::Closed => return Ok(terminal),
            }
        }
    }

    fn run_hooks(&self) -> Result<()> {
        let Some(Hooks { prestart, create_runtime, .. }) =
            self.container.as_ref().and_then(|c| c.spec.hooks.as_ref())
        else {
            return Ok(());
        };
        crate::hook::run("prestart", prestart, &self.state)?;
        crate::hook::run("createRuntime", create_runtime, &self.state)
    }

    fn hand_over(&self, listener: &OwnedFd) -> Result<()> {
        let Some((path, metadata)) = self.listener else { return Ok(()) };
        crate::listener::hand_over(listener, path, metadata, &self.state)
    }

    fn explain(&self, failure: Failure) -> Error {
        let Failure { step, errno, index, subject } = failure;
        match step {
            Step::Lookup => self.explain_lookup(lookup_kind(index), errno),
            Step::WorkingDirectory => Error::WorkingDirectory { path: self.process.cwd.clone(), errno },
            Step::Mount | Step::MountPoint | Step::Configure | Step::Attach => {
                self.explain_mount(step, index, errno, subject)
            }
            Step::Rlimit => Error::Setup { step, subject: self.rlimit_name(index), errno },
            Step::Hook => Error::Hook {
                kind: "container",
                number: usize::try_from(index).unwrap_or_default(),
                reason: self.hook_reason(errno),
            },
            step => Error::Setup { step, subject, errno },
        }
    }

    fn explain_lookup(&self, kind: LookupKind, errno: Errno) -> Error {
        let program = self.process.args.first().cloned().unwrap_or_default();
        let text = linux::errno::text(errno);
        let reason = match kind {
            LookupKind::Stat => format!("stat {program}: {text}"),
            LookupKind::Refused => text.to_owned(),
            LookupKind::NotInPath => "executable file not found in $PATH".to_owned(),
        };
        Error::Command { program, reason, errno }
    }

    fn explain_mount(&self, step: Step, index: u32, errno: Errno, subject: String) -> Error {
        let mount = self
            .container
            .as_ref()
            .and_then(|container| container.spec.mounts.get(usize::try_from(index).ok()?));
        let Some(mount) = mount else { return Error::Setup { step, subject, errno } };
        let (source_path, destination) = mount_name(mount);
        let detail = match (step, subject.is_empty()) {
            (Step::MountPoint, _) => format!("create mount destination for {destination} mount: "),
            (Step::Configure, false) => format!("option {subject}: "),
            (_, false) => format!("{subject}: "),
            _ => format!("mount {source_path}:{destination}: "),
        };
        Error::Mount { source_path, destination, detail, errno }
    }

    fn rlimit_name(&self, index: u32) -> String {
        let limit = usize::try_from(index).ok().and_then(|index| self.process.rlimits.get(index));
        limit.map(|limit| limit.kind.clone()).unwrap_or_default()
    }

    fn hook_reason(&self, errno: Errno) -> String {
        let printed =
            self.container.as_ref().and_then(|container| container.hook_files).map(HookFiles::printed);
        let printed = printed.unwrap_or_default();
        match errno {
            Errno::CANCELED => format!("exit status not zero, output: {printed}"),
            Errno::TIME => "hook ran past specified timeout".to_owned(),
            errno => linux::errno::text(errno).to_owned(),
        }
    }
}

/// Written by the maker: in a user namespace the process itself may not.
fn set_oom_score(pid: i32, score: i64) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()).map_err(|error| Error::System {
        step: Step::OomScore,
        subject: score.to_string(),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })
}
