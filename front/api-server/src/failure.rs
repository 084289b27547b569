//! What a failed call answers: the one place where kinds of errors become HTTP status codes.

use std::fmt;
use std::io;

use model::{ErrorKind, Kinded};

/// A call that gives no result.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u16,
    message: String,
    /// The client can't be answered any more.
    gone: bool,
}

/// The HTTP status of a kind of error.
pub(crate) fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::NotFound => 404,
        ErrorKind::Conflict => 409,
        ErrorKind::Invalid => 400,
        ErrorKind::Forbidden => 403,
        ErrorKind::Unauthorized => 401,
        ErrorKind::Unavailable => 503,
        ErrorKind::NotModified => 304,
        ErrorKind::NotImplemented => 501,
        ErrorKind::Cancelled => 499,
        ErrorKind::Internal => 500,
    }
}

impl Failure {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), gone: false }
    }

    /// The HTTP status to answer.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether there is nobody to answer.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// The same text with another status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        Self::new(status_of(error.kind()), error.message())
    }
}

/// Reading from or writing to the client failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::FileTooLarge => Self::new(413, "http: request body too large"),
            io::ErrorKind::InvalidData => Self::new(400, error.to_string()),
            _ => Self { status: 499, message: error.to_string(), gone: true },
        }
    }
}
