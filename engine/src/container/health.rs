//! Health checks: a probe in the container after each interval; nothing wakes in between.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::container::{Container, HealthCheck, HealthResult, HealthStatus, ProbeTest};
use model::Timestamp;

use super::events;
use crate::engine::Inner;
use crate::exec;

const TIMED_OUT: i32 = -1;
/// Output kept of one probe; the rest is read and dropped.
const OUTPUT: usize = 4096;

/// Plans the next probe of a container's present run.
pub(crate) fn schedule(inner: &Arc<Inner>, container: &Arc<Container>) {
    let record = container.record();
    let Some(check) = record.config.health.clone() else { return };
    let run = inner.live(container.id()).run();
    let since_start = record.lifecycle.started_at.map(|at| Timestamp::now().since(at)).unwrap_or_default();
    let delay = check.next_interval(container.health().status, since_start);
    let job_inner = Arc::clone(inner);
    let container = Arc::clone(container);
    inner.worker.run_after(delay, move || {
        // A probe may take as long as its timeout: it gets a thread of its own.
        let spawned = std::thread::Builder::new()
            .name("engine-probe".to_owned())
            .spawn(move || probe_now(&job_inner, &container, &check, run));
        if let Err(error) = spawned {
            eprintln!("health probe: {error}");
        }
    });
}

fn probe_now(inner: &Arc<Inner>, container: &Arc<Container>, check: &HealthCheck, run: u64) {
    let current = || inner.live(container.id()).run() == run && !inner.is_closing();
    if !current() || inner.containers.get(container.id()).is_none() {
        return;
    }
    let state = container.record().lifecycle.state.clone();
    if state.is_paused() {
        schedule(inner, container);
        return;
    }
    if !state.has_process() {
        return;
    }
    let result = probe(inner, container, check);
    if !current() {
        return;
    }
    let record = container.record();
    let started = record.lifecycle.started_at.unwrap_or(record.created);
    let changed = container.update_health(|health| {
        let changed = health.record(check, started, result);
        changed.then_some(health.status)
    });
    if let Some(status) = changed {
        let word = match status {
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
            HealthStatus::Starting | HealthStatus::None => "starting",
        };
        events::container(inner, &record, &format!("health_status: {word}"), &[]);
    }
    schedule(inner, container);
}

fn probe(inner: &Arc<Inner>, container: &Arc<Container>, check: &HealthCheck) -> HealthResult {
    let start = Timestamp::now();
    let (exit_code, output) = match run(inner, container, check) {
        Ok(outcome) => outcome,
        Err(error) => (TIMED_OUT, error.message().to_owned()),
    };
    HealthResult { start, end: Timestamp::now(), exit_code, output }
}

fn run(inner: &Arc<Inner>, container: &Arc<Container>, check: &HealthCheck) -> crate::Result<(i32, String)> {
    let command = match &check.test {
        ProbeTest::Command(words) => words.clone(),
        ProbeTest::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
    };
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| crate::Error::caused("connecting the health probe", error))?;
    let timeout = check.probe_timeout();
    let deadline = Instant::now() + timeout;
    let id = exec::start_probe(inner, container, command, OwnedFd::from(theirs).as_fd())?;
    let output = read_until(ours, deadline);
    match inner.exec_ends.wait(&inner.execs, &id, deadline.saturating_duration_since(Instant::now())) {
        Some(code) => Ok((code, output)),
        None => {
            exec::kill(inner, container, &id);
            let seconds =
                model::duration::format_nanoseconds(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX));
            Ok((
                TIMED_OUT,
                format!("Health check exceeded timeout ({seconds}): {output}")
                    .trim_end_matches(": ")
                    .to_owned(),
            ))
        }
    }
}

/// Reads frames until the end of the stream or the deadline; keeps the beginning.
fn read_until(mut stream: UnixStream, deadline: Instant) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let room = OUTPUT.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&buffer[..room]);
            }
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
