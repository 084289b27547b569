//! The shim's state and its loop.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use linux::cgroup::{Cgroup, OomWatch};
use linux::event::Signals;
use model::Timestamp;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use shim_protocol::{
    Answer, Attach, Command, Event, ExecSnapshot, Failure, FailureKind, Frame, Phase, Request, ShimMessage,
    Snapshot, Target,
};

use crate::client::Client;
use crate::engine::Engine;
use crate::process::Process;
use crate::watch::{BATCH, Token, Watch};

/// The init process's number.
pub(crate) const INIT: u32 = 0;
/// Quiet time after which unused memory is given back.
const SETTLE: Duration = Duration::from_secs(1);
/// Clients at once; each can hold a queue.
const MAX_CLIENTS: usize = 256;
/// How long a client may take for its last bytes after the container's end.
const LAST_BYTES: Duration = Duration::from_secs(300);

const SIGCHLD: i32 = 17;

/// Everything about one container.
pub(crate) struct Shim {
    pub(crate) id: String,
    pub(crate) directory: PathBuf,
    pub(crate) watch: Watch,
    pub(crate) signals: Signals,
    pub(crate) listener: OwnedFd,
    pub(crate) engine: Option<Engine>,
    pub(crate) phase: Phase,
    pub(crate) started_at: Option<Timestamp>,
    /// By number; 0 is the init process.
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) next_process: u32,
    pub(crate) clients: BTreeMap<u32, Client>,
    next_client: u32,
    pub(crate) created: Option<runtime::Created>,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) oom: Option<OomWatch>,
    pub(crate) oom_killed: bool,
    pub(crate) log: Option<jsonlog::Writer>,
    pub(crate) output_buffer: Vec<u8>,
    pub(crate) input_buffer: Vec<u8>,
    pub(crate) full_reads: u32,
    /// Ended execs no engine has been told of.
    pub(crate) untold: Vec<ExecSnapshot>,
    children_ended: bool,
    acknowledged: bool,
    pub(crate) quit_by: Option<Instant>,
}

impl Shim {
    /// Takes over the engine's connection on standard input.
    pub(crate) fn open(id: String, directory: PathBuf) -> Result<Self, Errno> {
        linux::memory::stay_small();
        // Executed from a memory file, it would be called after that.
        let _ = linux::process::set_name(c"wharf-shim");
        linux::process::become_subreaper()?;
        let watch = Watch::new()?;
        let signals = Signals::new(&[SIGCHLD]).map_err(|_| Errno::INVAL)?;
        watch.add(&signals, Token::Signals, EventFlags::IN)?;
        let connection = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        let listener = crate::engine::listen(&directory)?;
        watch.add(&listener, Token::Listener, EventFlags::IN)?;
        let engine = Some(Engine::new(connection, &watch)?);
        Ok(Self {
            id,
            directory,
            watch,
            signals,
            listener,
            engine,
            phase: Phase::Empty,
            started_at: None,
            processes: BTreeMap::from([(INIT, Process::default())]),
            next_process: INIT + 1,
            clients: BTreeMap::new(),
            next_client: 0,
            created: None,
            cgroup: None,
            oom: None,
            oom_killed: false,
            log: None,
            output_buffer: Vec::new(),
            input_buffer: Vec::new(),
            full_reads: 0,
            untold: Vec::new(),
            children_ended: false,
            acknowledged: false,
            quit_by: None,
        })
    }

    /// Serves until the container's end is known to an engine, or recorded and no engine is there.
    pub(crate) fn run(&mut self) {
        let mut settled = false;
        while !self.is_over() {
            let mut ready = [(None, EventFlags::empty()); BATCH];
            let deadline = self.next_deadline();
            let until_deadline = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = match (settled, until_deadline) {
                (true, until) => until,
                (false, None) => Some(SETTLE),
                (false, Some(until)) => Some(until.min(SETTLE)),
            };
            let count = self.watch.wait(&mut ready, timeout);
            if count == 0 && until_deadline.is_none_or(|until| until >= SETTLE) && !settled {
                self.settle();
                settled = true;
                continue;
            }
            settled = settled && count == 0;
            for (token, flags) in ready.iter().take(count) {
                if let Some(token) = token {
                    self.dispatch(*token, *flags);
                }
            }
            if std::mem::take(&mut self.children_ended) {
                self.reap();
            }
            self.end_broken_clients();
            self.deadlines_passed();
        }
        self.end_everything();
    }

    /// Gives back memory that was only needed for a while.
    fn settle(&mut self) {
        self.output_buffer = Vec::new();
        self.input_buffer = Vec::new();
        linux::memory::trim();
    }

    fn dispatch(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Signals => {
                while matches!(self.signals.next(), Ok(Some(_))) {}
                self.children_ended = true;
            }
            Token::Listener => self.engine_connects(),
            Token::Engine => self.engine_ready(flags),
            Token::OutOfMemory => self.out_of_memory(),
            Token::Output(index, stream) => self.output_ready(index, stream),
            Token::Input(index) => self.write_stdin(index),
            Token::Client(number) => self.client_ready(number, flags),
        }
    }

    fn client_ready(&mut self, number: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT)
            && let Some(client) = self.clients.get_mut(&number)
        {
            client.flush(&self.watch);
            let index = client.process;
            self.release_outputs(index);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.client_readable(number);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR)
            && let Some(client) = self.clients.get_mut(&number)
            && !client.can_read()
        {
            client.broken = true;
        }
    }

    fn end_broken_clients(&mut self) {
        let over: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, client)| client.broken || client.ending && client.queued() == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in over {
            self.end_client(number, false);
        }
    }

    fn is_over(&self) -> bool {
        let done = match self.phase {
            Phase::Empty | Phase::Created => self.acknowledged || self.engine.is_none(),
            Phase::Running | Phase::Paused => false,
            Phase::Exited(_) => self.acknowledged || self.engine.is_none(),
        };
        done && (self.clients.is_empty() || self.quit_by.is_some_and(|by| by <= Instant::now()))
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.processes.values().filter_map(|process| process.collect_by).chain(self.quit_by).min()
    }

    fn deadlines_passed(&mut self) {
        let now = Instant::now();
        let late: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, process)| process.collect_by.is_some_and(|by| by <= now))
            .map(|(index, _)| *index)
            .collect();
        for index in late {
            self.exec_collected(index);
        }
        if matches!(self.phase, Phase::Exited(_)) && self.quit_by.is_none() {
            self.quit_by = now.checked_add(LAST_BYTES);
        }
    }

    /// Does one request.
    pub(crate) fn handle(&mut self, frame: Frame) {
        let request = match frame.parse::<Request>() {
            Ok(request) => request,
            Err(error) => {
                let failure = Failure { kind: FailureKind::Invalid, text: error.to_string() };
                self.say(&ShimMessage::Answer { id: 0, result: Err(failure) });
                return;
            }
        };
        let Frame { json, tail, descriptors } = frame;
        drop(json);
        let id = request.id;
        let mut descriptors = descriptors.into_iter();
        let result = match request.command {
            Command::Create(create) => self.create(*create, tail, descriptors),
            Command::Start => self.start(),
            Command::Exec(exec) => self.exec(*exec, tail, descriptors.next()),
            Command::Attach(attach) => match descriptors.next() {
                Some(socket) => self.attach(&attach, socket),
                None => Err(invalid("an attach needs a socket")),
            },
            Command::Resize { target, height, width } => self.resize(&target, height, width),
            Command::Signal { target, signal, all } => self.signal(&target, signal, all),
            Command::Pause => self.pause(),
            Command::Resume => self.resume(),
            Command::State => Ok(Answer::State(Box::new(self.snapshot()))),
            Command::ExecCollected { id } => {
                if let Some(index) = self.exec_number(&id) {
                    self.exec_collected(index);
                }
                return;
            }
            Command::Acknowledge => {
                self.acknowledged = true;
                return;
            }
        };
        self.say(&ShimMessage::Answer { id, result });
    }

    fn snapshot(&mut self) -> Snapshot {
        let running = self.processes.values().filter_map(|process| {
            let id = process.exec_id.clone()?;
            Some(ExecSnapshot { id, pid: process.pid, exit: process.exit.clone() })
        });
        let mut execs: Vec<ExecSnapshot> = running.collect();
        execs.append(&mut self.untold);
        Snapshot {
            version: shim_protocol::VERSION,
            id: self.id.clone(),
            phase: self.phase.clone(),
            pid: self.processes.get(&INIT).map_or(0, |process| process.pid),
            started_at: self.started_at,
            execs,
            attached: self.clients.values().map(|client| client.key).collect(),
        }
    }

    /// Connects a client to the init process, which may not be there yet.
    pub(crate) fn attach(&mut self, attach: &Attach, socket: OwnedFd) -> Result<Answer, Failure> {
        let index = match &attach.target {
            Target::Init => INIT,
            Target::Exec(id) => self.exec_number(id).ok_or_else(|| no_process(id))?,
        };
        if matches!(self.phase, Phase::Exited(_)) {
            return Err(conflict("the container has exited"));
        }
        self.add_client(attach, socket, index)?;
        Ok(Answer::Done)
    }

    pub(crate) fn add_client(&mut self, attach: &Attach, socket: OwnedFd, index: u32) -> Result<(), Failure> {
        if self.clients.len() >= MAX_CLIENTS {
            return Err(conflict("too many clients are attached"));
        }
        self.next_client = self.next_client.wrapping_add(1);
        let number = self.next_client;
        let mut client = Client::new(attach, socket, number, index);
        client.register(&self.watch).map_err(|error| internal(&format!("watching a client: {error}")))?;
        let is_connected = self.processes.get(&index).is_some_and(|process| process.pid != 0);
        if !is_connected {
            client.hold_stdin(true, &self.watch);
        }
        self.clients.insert(number, client);
        if !attach.early_input.is_empty() {
            self.client_typed(number, &attach.early_input);
        }
        Ok(())
    }

    /// Closes a client's connection and tells the engine.
    pub(crate) fn end_client(&mut self, number: u32, detached: bool) {
        let Some(client) = self.clients.remove(&number) else { return };
        let (key, target, index) = (client.key, client.target.clone(), client.process);
        let had_input = client.stdin_open;
        let broken = client.broken;
        client.close(&self.watch);
        self.report(Event::AttachEnded { key, target, detached });
        if had_input
            && broken
            && !detached
            && let Some(process) = self.processes.get_mut(&index)
            && process.stdin_once
            && !process.tty
        {
            process.stdin_ending = true;
            self.write_stdin(index);
        }
        self.release_outputs(index);
    }
}

pub(crate) fn invalid(text: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, text: text.to_owned() }
}

pub(crate) fn conflict(text: &str) -> Failure {
    Failure { kind: FailureKind::Conflict, text: text.to_owned() }
}

pub(crate) fn internal(text: &str) -> Failure {
    Failure { kind: FailureKind::Internal, text: text.to_owned() }
}

pub(crate) fn no_process(id: &str) -> Failure {
    Failure { kind: FailureKind::NotFound, text: format!("No such exec instance: {id}") }
}
