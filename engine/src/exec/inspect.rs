//! `GET /exec/{id}/json`.

use std::time::Duration;

use ::container::{ExecRecord, ExecState};
use api::exec::{Inspect, ProcessConfig};

use crate::engine::Inner;
use crate::{Error, Result};

/// How long the report of an end may be behind the end itself.
const REPORT_DELAY: Duration = Duration::from_secs(2);

pub(super) fn inspect(inner: &Inner, id: &str) -> Result<Inspect> {
    let mut record = inner.execs.find(id).map_err(Error::from_kinded)?;
    if let ExecState::Running { pid } = record.state
        && !is_alive(pid)
    {
        // Clients ask as soon as the stream ends: the exit code is on its way.
        inner.exec_ends.wait(&inner.execs, &record.id, REPORT_DELAY);
        record = inner.execs.find(id).map_err(Error::from_kinded)?;
    }
    Ok(document(&record))
}

/// Whether a process exists and is no zombie.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn document(record: &ExecRecord) -> Inspect {
    let (entrypoint, arguments) = record
        .command
        .split_first()
        .map_or((String::new(), Vec::new()), |(first, rest)| (first.clone(), rest.to_vec()));
    let (running, exit_code, pid) = match record.state {
        ExecState::Created | ExecState::Starting => (false, None, 0),
        ExecState::Running { pid } => (true, None, pid),
        ExecState::Exited { pid, code } => (false, Some(i64::from(code)), pid),
    };
    Inspect {
        id: record.id.to_string(),
        running,
        exit_code,
        process_config: ProcessConfig {
            tty: record.tty,
            entrypoint,
            arguments,
            privileged: Some(record.privileged),
            user: record.user.clone(),
        },
        open_stdin: record.attach_stdin,
        open_stderr: record.attach_stderr,
        open_stdout: record.attach_stdout,
        can_remove: false,
        container_id: record.container.to_string(),
        detach_keys: Some(record.detach_keys.clone()),
        pid: i64::from(pid),
    }
}
