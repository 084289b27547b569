//! `logs`: what the shim recorded, read from the file it writes.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ::container::Container;
use ::container::logs::{Follow, Form, Query};

use super::parameters::LogParameters;
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// A log that is going to be read.
pub struct LogStream {
    container: Arc<Container>,
    parameters: LogParameters,
    path: std::path::PathBuf,
    framed: bool,
    /// Whether the container has a terminal.
    pub tty: bool,
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("LogStream").field("path", &self.path).finish_non_exhaustive()
    }
}

pub(crate) fn logs(inner: &Inner, reference: &str, parameters: LogParameters) -> Result<LogStream> {
    if !parameters.stdout && !parameters.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let container = inner.find(reference)?;
    of_container(inner, &container, parameters)
}

pub(crate) fn of_container(
    inner: &Inner,
    container: &Arc<Container>,
    parameters: LogParameters,
) -> Result<LogStream> {
    let record = container.record();
    let path = match record.config.log.driver.as_str() {
        "none" => {
            return Err(Error::new(
                model::ErrorKind::NotImplemented,
                "configured logging driver does not support reading",
            ));
        }
        "local" => super::launch::local_log_path(inner, &record),
        _ => inner.layout.log_path(record.id.as_str()),
    };
    let tty = record.config.tty;
    Ok(LogStream { container: Arc::clone(container), parameters, path, framed: !tty, tty })
}

impl LogStream {
    /// With or without frame headers.
    #[must_use]
    pub(crate) fn with_frames(mut self, framed: bool) -> Self {
        self.framed = framed;
        self
    }

    /// Writes the log to a client; with `follow` until the container ends or the client hangs up.
    ///
    /// # Errors
    /// When the log cannot be read or the client takes no more.
    pub fn write_to(self, out: &mut dyn Write, hangup: Option<BorrowedFd<'_>>) -> Result<()> {
        let parameters = &self.parameters;
        let nanoseconds = |time: Option<model::Timestamp>| time.map(model::Timestamp::nanoseconds);
        let query = Query {
            tail: parameters.tail,
            since: nanoseconds(parameters.since),
            until: nanoseconds(parameters.until),
            stdout: parameters.stdout,
            stderr: parameters.stderr,
        };
        let form =
            Form { framed: self.framed, timestamps: parameters.timestamps, details: parameters.details };
        if !self.path.exists() && !parameters.follow {
            // Never started.
            return Ok(());
        }
        let end = if parameters.follow { self.end_watch()? } else { None };
        let follow = Follow { ended: end.as_ref().map(AsFd::as_fd), cancelled: hangup };
        // Followers of a container that has ended get what is there.
        let follow = (parameters.follow && end.is_some()).then_some(&follow);
        if !self.path.exists() && follow.is_none() {
            return Ok(());
        }
        ::container::logs::deliver(&self.path, &query, form, follow, out).map_err(Error::from_kinded)
    }

    /// A descriptor that becomes readable when the container ends; none when it does not run.
    fn end_watch(&self) -> Result<Option<OwnedFd>> {
        if !self.container.record().lifecycle.state.has_process() {
            return Ok(None);
        }
        self.container.end_descriptor().map(Some).doing(|| "following the log".to_owned())
    }
}
