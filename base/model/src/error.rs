//! What kind of failure an error is; HTTP status and exit code are decided from it, each in one place.

/// The class of a failure, the same classes Docker's API maps to HTTP status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named object does not exist (404).
    NotFound,
    /// The object's present state forbids the operation (409).
    Conflict,
    /// The caller's input is wrong (400).
    Invalid,
    /// The caller is known and may not do this (403).
    Forbidden,
    /// The caller has to authenticate first (401).
    Unauthorized,
    /// Something this needs is not available now (503).
    Unavailable,
    /// The object is in the wanted state already (304).
    NotModified,
    /// This engine does not have the feature (501).
    NotImplemented,
    /// The caller went away or gave up (499).
    Cancelled,
    /// A failure of the engine or the machine (500).
    Internal,
}

/// Implemented by every error type of wharf.
pub trait Kinded: std::error::Error {
    /// The class of this failure.
    fn kind(&self) -> ErrorKind;
}

/// The error with all its causes, joined by `: `, the way it is shown to a person.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
