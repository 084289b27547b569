//! The engine's error: a kind for the status and a text in Docker's words.

use model::{ErrorKind, Kinded};

/// Result of every engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// A refused or failed call. `Display` is what the client reads.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with the client's text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None }
    }

    /// No such thing (404).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Not in this state (409).
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// A wrong parameter (400).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Not allowed (403).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// Already so (304).
    pub fn not_modified() -> Self {
        Self::new(ErrorKind::NotModified, "")
    }

    /// A fault of the engine or the machine (500).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A component's error: its kind, its chain as text.
    pub fn from_kinded(error: impl Kinded + Send + Sync + 'static) -> Self {
        Self { kind: error.kind(), message: model::error::chain(&error), cause: Some(Box::new(error)) }
    }

    /// An internal error with a cause that the text includes.
    pub fn caused(message: impl Into<String>, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = format!("{}: {}", message.into(), model::error::chain(&cause));
        Self { kind: ErrorKind::Internal, message, cause: Some(Box::new(cause)) }
    }

    /// The same error with words before its text.
    #[must_use]
    pub fn prefixed(mut self, words: &str) -> Self {
        self.message = format!("{words}: {}", self.message);
        self
    }

    /// The same text as another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The text the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Turns system faults into engine errors that say what was being done.
pub(crate) trait Context<T> {
    /// Names the step that failed.
    fn doing(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn doing(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::caused(step(), error))
    }
}
