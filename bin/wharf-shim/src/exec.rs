//! Further processes in the container.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use model::Timestamp;
use shim_protocol::{Answer, Event, Exec, ExecSnapshot, Exit, Failure, Phase, Started};

use crate::launch::{failure, narrow};
use crate::process::{Process, Streams};
use crate::shim::{INIT, Shim, conflict, internal, invalid};

/// Execs at once; each holds descriptors.
const MAX_EXECS: usize = 1024;
/// How long clients wait for the engine to note an exec's end.
const COLLECT_PATIENCE: Duration = Duration::from_secs(2);
/// Ends kept for an engine that is away.
const MAX_UNTOLD: usize = 256;

impl Shim {
    /// Runs a process and connects its client.
    pub(crate) fn exec(
        &mut self,
        exec: Exec,
        seccomp: Vec<u8>,
        client: Option<OwnedFd>,
    ) -> Result<Answer, Failure> {
        if self.phase != Phase::Running {
            return Err(conflict("the container is not running"));
        }
        if exec.attach.is_some() != client.is_some() {
            return Err(invalid("the client's socket is missing"));
        }
        if self.exec_number(&exec.id).is_some() {
            return Err(conflict("the exec runs already"));
        }
        if self.processes.len() > MAX_EXECS {
            return Err(conflict("too many execs run"));
        }
        let tty = exec.process.terminal;
        let size = exec
            .process
            .console_size
            .as_ref()
            .map_or((0, 0), |size| (narrow(size.height), narrow(size.width)));
        let streams = Streams::new(tty, size, exec.open_stdin)
            .map_err(|error| internal(&format!("making the standard streams: {error}")))?;
        let init = self.processes.get(&INIT).ok_or_else(|| conflict("the container is not running"))?;
        let target = init.pidfd.as_ref().and_then(|pidfd| pidfd.try_clone().ok());
        let target = target.ok_or_else(|| conflict("the container is not running"))?;
        let mut request = runtime::ExecRequest::new(target, init.pid, exec.process, streams.stdio);
        request.seccomp = (!seccomp.is_empty()).then_some(seccomp);
        let mut running = runtime::exec(request).map_err(|error| failure(&error))?;
        let started = Started { pid: running.pid, at: Timestamp::now() };
        let index = self.next_process;
        self.next_process = self.next_process.wrapping_add(1).max(INIT + 1);
        let mut process =
            Process { exec_id: Some(exec.id), pid: running.pid, tty, stdin_once: true, ..Process::default() };
        let ends = [streams.stdin, streams.stdout, streams.stderr];
        let connected = process.connect(index, ends, running.pty_master.take(), &self.watch);
        process.pidfd = Some(running.pidfd);
        self.processes.insert(index, process);
        connected.map_err(|error| internal(&format!("watching the standard streams: {error}")))?;
        if let (Some(attach), Some(client)) = (exec.attach, client) {
            self.add_client(&attach, client, index)?;
        }
        Ok(Answer::Started(started))
    }

    /// The number of the exec with this id.
    pub(crate) fn exec_number(&self, id: &str) -> Option<u32> {
        let matches = |process: &Process| process.exec_id.as_deref() == Some(id);
        self.processes.iter().find(|(_, process)| matches(process)).map(|(index, _)| *index)
    }

    /// An exec's process has ended: what it wrote is delivered, whoever else still holds its streams.
    pub(crate) fn exec_ended(&mut self, index: u32, exit: Exit) {
        self.drain_outputs(index);
        let Some(process) = self.processes.get_mut(&index) else { return };
        process.exit = Some(exit.clone());
        process.stdin = None;
        process.terminal = None;
        let (id, pid) = (process.exec_id.clone().unwrap_or_default(), process.pid);
        if self.report(Event::ExecExited { id: id.clone(), exit: exit.clone() }) {
            if let Some(process) = self.processes.get_mut(&index) {
                process.collect_by = Instant::now().checked_add(COLLECT_PATIENCE);
            }
        } else {
            if self.untold.len() >= MAX_UNTOLD {
                self.untold.remove(0);
            }
            self.untold.push(ExecSnapshot { id, pid, exit: Some(exit) });
            self.exec_collected(index);
        }
    }

    /// The engine has noted an exec's end: now its client may see the stream end.
    pub(crate) fn exec_collected(&mut self, index: u32) {
        if index == INIT || self.processes.get(&index).is_none_or(|process| process.exit.is_none()) {
            return;
        }
        self.processes.remove(&index);
        for client in self.clients.values_mut().filter(|client| client.process == index) {
            client.ending = true;
        }
    }
}
