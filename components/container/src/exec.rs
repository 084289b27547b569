//! Exec records: processes run in a container besides its init process. They live in memory only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{ContainerId, ErrorKind, ExecId, Kinded};
use serde_json::Value;

/// How long an ended exec can be inspected.
const KEPT_AFTER_END: Duration = Duration::from_secs(300);
/// Ended execs kept at most; clients that start thousands inspect each at once or never.
const MAX_ENDED: usize = 1024;
/// Execs of one container that are made or run.
const MAX_PER_CONTAINER: usize = 1024;
/// One that was not started for so long is forgotten when there are too many.
const PATIENCE_FOR_START: Duration = Duration::from_secs(300);

/// How far an exec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecState {
    /// Made, not started.
    Created,
    /// Being started.
    Starting,
    /// Its process runs.
    Running {
        /// As the host numbers it.
        pid: i32,
    },
    /// Its process ended, or could not be started.
    Exited {
        /// As the host numbered it; 0 when it never ran.
        pid: i32,
        /// Its exit code.
        code: i32,
    },
}

/// One exec.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecRecord {
    /// Its id.
    pub id: ExecId,
    /// Its container.
    pub container: ContainerId,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Has a terminal.
    pub tty: bool,
    /// Standard input is open.
    pub attach_stdin: bool,
    /// Output is delivered.
    pub attach_stdout: bool,
    /// Errors are delivered.
    pub attach_stderr: bool,
    /// Has every capability.
    pub privileged: bool,
    /// `user[:group]` as given.
    pub user: String,
    /// Working directory; empty for the container's.
    pub working_dir: String,
    /// Further `NAME=value` pairs.
    pub env: Vec<String>,
    /// The detach keys as given; empty for the default.
    pub detach_keys: String,
    /// The terminal's first size, rows and columns.
    pub console_size: Option<(u16, u16)>,
    /// The document the client sent.
    pub document: Value,
    /// How far it is.
    pub state: ExecState,
}

/// An exec is not there, or not in the needed state; Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// Unknown id.
    #[error("No such exec instance: {id}")]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// It was started before and runs.
    #[error("exec {id} is already running")]
    AlreadyRunning {
        /// The exec's id.
        id: String,
    },
    /// It was started before and ended.
    #[error("exec command {id} has already run")]
    AlreadyRun {
        /// The exec's id.
        id: String,
    },
    /// It does not run.
    #[error("exec {id} is not running")]
    NotRunning {
        /// The exec's id.
        id: String,
    },
    /// Its container has as many as it may have.
    #[error("container {container} has {MAX_PER_CONTAINER} exec instances, which is the most it can have")]
    TooMany {
        /// The container's id.
        container: String,
    },
}

impl Kinded for ExecError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Conflict,
        }
    }
}

/// All execs of the engine.
#[derive(Debug, Default)]
pub struct ExecStore {
    entries: Mutex<HashMap<ExecId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    record: ExecRecord,
    made: Instant,
    ended: Option<Instant>,
}

impl ExecStore {
    /// No exec yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<ExecId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new exec and forgets old ones.
    ///
    /// # Errors
    /// [`ExecError::TooMany`].
    pub fn insert(&self, record: ExecRecord) -> Result<(), ExecError> {
        let mut entries = self.entries();
        forget_old(&mut entries);
        if active(&entries, &record.container) >= MAX_PER_CONTAINER {
            entries.retain(|_, entry| {
                entry.record.state != ExecState::Created || entry.made.elapsed() < PATIENCE_FOR_START
            });
            if active(&entries, &record.container) >= MAX_PER_CONTAINER {
                return Err(ExecError::TooMany { container: record.container.to_string() });
            }
        }
        entries.insert(record.id.clone(), Entry { record, made: Instant::now(), ended: None });
        Ok(())
    }

    /// The exec with this id, as it is now.
    ///
    /// # Errors
    /// [`ExecError::NotFound`].
    pub fn find(&self, id: &str) -> Result<ExecRecord, ExecError> {
        let key: Option<ExecId> = id.parse().ok();
        let entries = self.entries();
        key.and_then(|key| entries.get(&key))
            .map(|entry| entry.record.clone())
            .ok_or_else(|| ExecError::NotFound { id: id.to_owned() })
    }

    /// Claims the exec for its one start.
    ///
    /// # Errors
    /// Docker's refusal when it was started before.
    pub fn claim_start(&self, id: &ExecId) -> Result<ExecRecord, ExecError> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id) else {
            return Err(ExecError::NotFound { id: id.to_string() });
        };
        match entry.record.state {
            ExecState::Created => {
                entry.record.state = ExecState::Starting;
                Ok(entry.record.clone())
            }
            ExecState::Starting | ExecState::Running { .. } => {
                Err(ExecError::AlreadyRunning { id: id.to_string() })
            }
            ExecState::Exited { .. } => Err(ExecError::AlreadyRun { id: id.to_string() }),
        }
    }

    /// It was claimed for its start, which nobody is going to make; whether it had not been made.
    pub fn abandoned(&self, id: &ExecId, code: i32) -> bool {
        let mut entries = self.entries();
        let entry = entries.get_mut(id).filter(|entry| entry.record.state == ExecState::Starting);
        let Some(entry) = entry else { return false };
        entry.record.state = ExecState::Exited { pid: 0, code };
        entry.ended = Some(Instant::now());
        true
    }

    /// Its process runs. (An exit that was reported first stays.)
    pub fn started(&self, id: &ExecId, pid: i32) {
        if let Some(entry) = self.entries().get_mut(id) {
            match &mut entry.record.state {
                ExecState::Exited { pid: known, .. } => *known = pid,
                state => *state = ExecState::Running { pid },
            }
        }
    }

    /// Its process ended, or could not be started; the record as it is then, None if it had ended before.
    pub fn exited(&self, id: &ExecId, code: i32) -> Option<ExecRecord> {
        let mut entries = self.entries();
        let entry = entries.get_mut(id)?;
        if matches!(entry.record.state, ExecState::Exited { .. }) {
            return None;
        }
        let pid = if let ExecState::Running { pid } = entry.record.state { pid } else { 0 };
        entry.record.state = ExecState::Exited { pid, code };
        entry.ended = Some(Instant::now());
        Some(entry.record.clone())
    }

    /// Ids of a container's execs that have not ended, as inspect shows them.
    pub fn active_ids(&self, container: &ContainerId) -> Vec<ExecId> {
        let entries = self.entries();
        let mut ids: Vec<ExecId> = entries
            .values()
            .filter(|entry| entry.record.container == *container && entry.ended.is_none())
            .map(|entry| entry.record.id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// Running execs of a container that ended: each becomes exited with the code given.
    pub fn container_exited(&self, container: &ContainerId, code: i32) -> Vec<ExecRecord> {
        let running: Vec<ExecId> = self
            .entries()
            .values()
            .filter(|entry| entry.record.container == *container)
            .filter(|entry| matches!(entry.record.state, ExecState::Running { .. } | ExecState::Starting))
            .map(|entry| entry.record.id.clone())
            .collect();
        running.iter().filter_map(|id| self.exited(id, code)).collect()
    }

    /// Forgets every exec of a container that is gone.
    pub fn container_removed(&self, container: &ContainerId) {
        self.entries().retain(|_, entry| entry.record.container != *container);
    }
}

/// How many execs of a container are made or run.
fn active(entries: &HashMap<ExecId, Entry>, container: &ContainerId) -> usize {
    entries.values().filter(|entry| entry.ended.is_none() && entry.record.container == *container).count()
}

fn forget_old(entries: &mut HashMap<ExecId, Entry>) {
    entries.retain(|_, entry| entry.ended.is_none_or(|ended| ended.elapsed() < KEPT_AFTER_END));
    if entries.len() <= MAX_ENDED {
        return;
    }
    let mut ended: Vec<(Instant, ExecId)> =
        entries.iter().filter_map(|(id, entry)| entry.ended.map(|ended| (ended, id.clone()))).collect();
    if ended.len() > MAX_ENDED {
        ended.sort();
        for (_, id) in ended.drain(..ended.len() - MAX_ENDED / 2) {
            entries.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(container: &ContainerId) -> ExecRecord {
        ExecRecord {
            id: ExecId::generate(),
            container: container.clone(),
            command: vec!["true".to_owned()],
            tty: false,
            attach_stdin: false,
            attach_stdout: true,
            attach_stderr: true,
            privileged: false,
            user: String::new(),
            working_dir: String::new(),
            env: Vec::new(),
            detach_keys: String::new(),
            console_size: None,
            document: Value::Null,
            state: ExecState::Created,
        }
    }

    #[test]
    fn an_exec_starts_once() {
        let store = ExecStore::new();
        let container = ContainerId::generate();
        let exec = record(&container);
        let id = exec.id.clone();
        store.insert(exec).unwrap();
        assert_eq!(store.active_ids(&container), std::slice::from_ref(&id));
        store.claim_start(&id).unwrap();
        assert_eq!(store.claim_start(&id), Err(ExecError::AlreadyRunning { id: id.to_string() }));
        store.started(&id, 9);
        assert_eq!(store.exited(&id, 3).unwrap().state, ExecState::Exited { pid: 9, code: 3 });
        assert_eq!(store.exited(&id, 4), None);
        assert_eq!(store.claim_start(&id), Err(ExecError::AlreadyRun { id: id.to_string() }));
        assert!(store.active_ids(&container).is_empty());
        store.container_removed(&container);
        assert!(store.find(id.as_str()).is_err());
        assert_eq!(store.find("x").unwrap_err().to_string(), "No such exec instance: x");
    }

    #[test]
    fn thousands_of_ended_execs_are_not_kept() {
        let store = ExecStore::new();
        let container = ContainerId::generate();
        for _ in 0..10_000 {
            let exec = record(&container);
            let id = exec.id.clone();
            store.insert(exec).unwrap();
            store.exited(&id, 0);
        }
        assert!(store.entries().len() <= MAX_ENDED + 1);
    }

    #[test]
    fn each_container_has_so_many_execs_and_no_more() {
        let store = ExecStore::new();
        let (full, other) = (ContainerId::generate(), ContainerId::generate());
        let last = (0..MAX_PER_CONTAINER).map(|_| {
            let exec = record(&full);
            let id = exec.id.clone();
            store.insert(exec).unwrap();
            id
        });
        let last = last.last().unwrap();
        assert!(matches!(store.insert(record(&full)), Err(ExecError::TooMany { .. })));
        store.insert(record(&other)).unwrap();
        store.exited(&last, 0);
        store.insert(record(&full)).unwrap();
        assert!(store.insert(record(&full)).is_err());
    }

    #[test]
    fn an_abandoned_start_is_an_end() {
        let store = ExecStore::new();
        let exec = record(&ContainerId::generate());
        let (id, container) = (exec.id.clone(), exec.container.clone());
        store.insert(exec).unwrap();
        assert!(!store.abandoned(&id, 126), "nobody has claimed it");
        store.claim_start(&id).unwrap();
        assert!(store.abandoned(&id, 126));
        assert!(store.active_ids(&container).is_empty());
        store.started(&id, 9);
        assert!(!store.abandoned(&id, 126));
    }
}
