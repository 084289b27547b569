//! Ends: children are reaped, the container's exit is recorded and reported, everything is put away.

use std::io::Write;
use std::time::Duration;

use linux::pidfd::Exit as Ended;
use model::Timestamp;
use shim_protocol::{Event, Exit, Phase};

use crate::shim::{INIT, Shim};

/// How long the container's last processes may take to die.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Shim {
    /// Collects every child that has ended.
    pub(crate) fn reap(&mut self) {
        if matches!(self.phase, Phase::Empty) {
            return;
        }
        while let Ok(Some((pid, ended))) = linux::process::reap_any() {
            let found =
                self.processes.iter().find(|(_, process)| process.pid == pid && process.exit.is_none());
            let Some(index) = found.map(|(index, _)| *index) else { continue };
            let exit = self.exit_of(ended);
            if index == INIT { self.init_ended(exit) } else { self.exec_ended(index, exit) }
        }
    }

    fn exit_of(&self, ended: Ended) -> Exit {
        let signal = match ended {
            Ended::Code(_) => None,
            Ended::Signal { number, .. } => Some(number),
        };
        Exit { code: ended.shell_code(), signal, oom_killed: self.oom_killed, at: Timestamp::now() }
    }

    /// The container is over.
    fn init_ended(&mut self, mut exit: Exit) {
        if let Some(cgroup) = &self.cgroup {
            exit.oom_killed |= cgroup.oom_kills() > 0;
            // Only where the container has no pid namespace of its own is anybody left.
            if !cgroup.is_empty().unwrap_or(true) {
                let _ = cgroup.kill_all(KILL_PATIENCE);
            }
        }
        self.drain_outputs(INIT);
        if let Some(log) = self.log.take() {
            let _ = log.close();
        }
        let execs: Vec<u32> = self.processes.keys().copied().filter(|index| *index != INIT).collect();
        self.phase = Phase::Exited(exit.clone());
        if let Some(init) = self.processes.get_mut(&INIT) {
            init.exit = Some(exit.clone());
            init.stdin = None;
            init.terminal = None;
        }
        self.reap_execs(&execs, &exit);
        // Recorded before anybody is told: whoever comes later finds it.
        let _ = self.record_exit(&exit);
        self.report(Event::Exited(exit));
        for client in self.clients.values_mut().filter(|client| client.process == INIT) {
            client.ending = true;
        }
    }

    /// Execs died with the container's pid namespace, or just now with its cgroup.
    fn reap_execs(&mut self, execs: &[u32], exit: &Exit) {
        while let Ok(Some((pid, ended))) = linux::process::reap_any() {
            let found =
                self.processes.iter().find(|(_, process)| process.pid == pid && process.exit.is_none());
            if let Some(index) = found.map(|(index, _)| *index) {
                let exit = self.exit_of(ended);
                self.exec_ended(index, exit);
            }
        }
        for index in execs {
            if self.processes.get(index).is_some_and(|process| process.exit.is_none()) {
                self.exec_ended(*index, Exit { code: 137, signal: Some(9), ..exit.clone() });
            }
        }
    }

    fn record_exit(&self, exit: &Exit) -> std::io::Result<()> {
        let path = self.directory.join(shim_protocol::EXIT_NAME);
        let temporary = path.with_extension("new");
        let bytes = serde_json::to_vec(exit)?;
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&bytes)?;
        std::fs::rename(&temporary, &path)
    }

    /// The last thing: what is left of the container goes, its root file system last because that can take long.
    pub(crate) fn end_everything(&mut self) {
        if matches!(self.phase, Phase::Created) {
            self.undo_create();
        }
        let numbers: Vec<u32> = self.clients.keys().copied().collect();
        for number in numbers {
            self.end_client(number, false);
        }
        let _ = std::fs::remove_file(self.directory.join(shim_protocol::SOCKET_NAME));
        self.oom = None;
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.remove(KILL_PATIENCE);
        }
        // Unmounting may sync for a while. The connection's end tells the engine that all is put away.
        self.created = None;
        self.engine = None;
    }
}
