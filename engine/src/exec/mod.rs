//! Processes started in running containers.

mod create;
mod inspect;
mod start;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::container::{Container, ExecState, ExecStore};
use model::{ExecId, Signal};
use shim_protocol::Target;

pub use start::ExecStart;
pub(crate) use start::open_process_root;
pub(crate) use start::start_probe;

use crate::engine::Inner;
use crate::{Error, Result};

/// Calls about execs.
#[derive(Clone, Copy)]
pub struct Execs<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl Execs<'_> {
    /// Remembers a process to be started.
    ///
    /// # Errors
    /// When the container does not run, or nothing is to be run.
    pub fn create(
        &self,
        container: &str,
        request: api::exec::CreateRequest,
    ) -> Result<api::exec::IdResponse> {
        create::create(self.inner, container, request)
    }

    /// Claims the process for its one start; [`ExecStart`] runs it.
    ///
    /// # Errors
    /// When it was started before or its container does not run any more.
    pub fn start(&self, id: &str, request: &api::exec::StartRequest) -> Result<ExecStart> {
        start::start(self.inner, id, request)
    }

    /// What is known of it.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn inspect(&self, id: &str) -> Result<api::exec::Inspect> {
        inspect::inspect(self.inner, id)
    }

    /// Sets its terminal's size; waits a moment for one that is just being started.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let mut record = self.inner.execs.find(id).map_err(Error::from_kinded)?;
        if matches!(record.state, ExecState::Created | ExecState::Starting) {
            self.inner.exec_ends.wait_started(&self.inner.execs, &record.id, Duration::from_secs(10));
            record = self.inner.execs.find(id).map_err(Error::from_kinded)?;
        }
        if !matches!(record.state, ExecState::Running { .. }) {
            return Err(Error::conflict(format!("exec {id} is not running")));
        }
        let target = Target::Exec(record.id.to_string());
        self.inner.supervisor.resize(&record.container, target, height, width).map_err(Error::from_kinded)
    }
}

/// Tells those who wait for an exec that one has started or ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    number: Mutex<u64>,
    changed: Condvar,
}

impl Ends {
    /// Something has started or ended.
    pub(crate) fn wake(&self) {
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    fn wait_until(&self, patience: Duration, mut done: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if done() {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            number = self.changed.wait_timeout(number, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The exit code of an exec, once it has one.
    pub(crate) fn wait(&self, execs: &ExecStore, id: &ExecId, patience: Duration) -> Option<i32> {
        let mut code = None;
        self.wait_until(patience, || {
            match execs.find(id.as_str()).map(|record| record.state) {
                Ok(ExecState::Exited { code: exit, .. }) => code = Some(exit),
                Ok(_) => return false,
                Err(_) => {}
            }
            true
        });
        code
    }

    fn wait_started(&self, execs: &ExecStore, id: &ExecId, patience: Duration) {
        self.wait_until(patience, || {
            !matches!(
                execs.find(id.as_str()).map(|record| record.state),
                Ok(ExecState::Created | ExecState::Starting)
            )
        });
    }
}

/// A shim says that an exec has ended.
pub(crate) fn ended(inner: &Inner, id: &str, code: i32) {
    let Ok(id) = id.parse::<ExecId>() else { return };
    if let Some(record) = inner.execs.exited(&id, code)
        && let Some(container) = inner.containers.get(&record.container)
    {
        let attributes = [("execID", id.to_string()), ("exitCode", code.to_string())];
        crate::container::events::container(inner, &container.record(), "exec_die", &attributes);
    }
    inner.exec_ends.wake();
}

/// Kills an exec that takes too long.
pub(crate) fn kill(inner: &Inner, container: &Container, id: &ExecId) {
    let target = Target::Exec(id.to_string());
    // It may have ended by itself just now.
    let _ = inner.supervisor.signal(container.id(), target, Signal::KILL.number(), false);
}
