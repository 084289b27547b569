//! What goes wrong with registries, in the words Docker's users read.

use std::time::Duration;

use model::{ErrorKind, Kinded};
use oci::Digest;
use serde::Deserialize;
use transport::client::{HttpError, TlsError};

/// One entry of a registry's list of errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApiError {
    /// `NAME_UNKNOWN`, `DENIED`, ...
    pub code: String,
    /// For people.
    pub message: String,
}

/// A request to a registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it broke.
    #[error("{request}: {}", spoken(cause))]
    Exchange {
        /// `Get "https://..."`
        request: String,
        /// Why; its words are part of these, so that it is no source.
        cause: HttpError,
    },
    /// The registry refused.
    #[error("{}", told(*status, errors, request))]
    Refused {
        /// `Get "https://..."`
        request: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        errors: Vec<ApiError>,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// Name and password are wanted, and there are none.
    #[error("{request}: no basic auth credentials")]
    NoCredentials {
        /// `Get "https://..."`
        request: String,
    },
    /// The token server is not one to send credentials to.
    #[error("token server {realm:?} of registry {registry} is refused: {reason}")]
    Realm {
        /// The registry.
        registry: String,
        /// The token server.
        realm: String,
        /// Why.
        reason: &'static str,
    },
    /// The answer sends us somewhere we do not go.
    #[error("{request}: redirect to {to:?} is refused: {reason}")]
    Redirect {
        /// `Get "https://..."`
        request: String,
        /// Where to.
        to: String,
        /// Why.
        reason: &'static str,
    },
    /// The answer is not what the protocol says.
    #[error("{request}: {reason}")]
    Malformed {
        /// `Get "https://..."`
        request: String,
        /// What is wrong.
        reason: String,
    },
    /// The bytes have another digest.
    #[error("{request}: content has digest {found}, expected {expected}")]
    Mismatch {
        /// `Get "https://..."`
        request: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A certificate without its key, or the other way round.
    #[error("{0}")]
    Certificates(String),
    /// The name of the registry is no host.
    #[error("invalid registry host {0:?}")]
    Host(String),
    /// Whoever asked is gone.
    #[error("context canceled")]
    Cancelled,
}

impl RegistryError {
    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Exchange { cause: HttpError::Malformed(_) | HttpError::Source(_), .. } => false,
            Self::Exchange { cause: HttpError::Connect(cause) | HttpError::Broken(cause), .. } => {
                // A certificate that is not trusted is not going to be.
                !cause.to_string().contains("x509:")
            }
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Mismatch { .. } => true,
            _ => false,
        }
    }

    /// Whether nobody could be spoken to: no connection, or no TLS on the other side.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Exchange { cause: HttpError::Connect(_), .. } => true,
            Self::Exchange { cause: HttpError::Broken(cause), .. } => {
                cause.to_string().contains("server gave HTTP response to HTTPS client")
            }
            _ => false,
        }
    }

    /// When to come again, if the registry said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The HTTP status it was refused with.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::NoCredentials { .. } => Some(401),
            _ => None,
        }
    }

    /// Whether the registry gave this reason.
    pub fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused { errors, .. } if errors.iter().any(|error| error.code == code))
    }
}

impl Kinded for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { status: 401, .. } => ErrorKind::Unauthorized,
            Self::Refused { status: 403, .. } => ErrorKind::Forbidden,
            Self::Refused { status: 404, .. } => ErrorKind::NotFound,
            Self::Refused { status: 429 | 503, .. } => ErrorKind::Unavailable,
            Self::Host(_) => ErrorKind::Invalid,
            Self::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Internal,
        }
    }
}

/// The innermost words of a broken exchange: that there is "no connection" is clear from them.
fn spoken(error: &HttpError) -> String {
    match error {
        HttpError::Connect(cause) | HttpError::Broken(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

/// Docker's form: `code in lower case: message`, several below a headline.
fn told(status: u16, errors: &[ApiError], request: &str) -> String {
    let one = |error: &ApiError| {
        let code = error.code.to_lowercase().replace('_', " ");
        let message = if error.message.is_empty() { known_message(&error.code) } else { &error.message };
        format!("{code}: {message}")
    };
    match errors {
        [] if status == 401 => format!("{request}: unauthorized: authentication required"),
        [] if status == 429 => "toomanyrequests: too many requests".to_owned(),
        [] => format!("{request}: received unexpected HTTP status: {status} {}", reason(status)),
        [error] => one(error),
        several => {
            let lines: Vec<String> = several.iter().map(one).collect();
            format!("errors:\n{}\n", lines.join("\n"))
        }
    }
}

/// What a code means when the registry does not say it.
fn known_message(code: &str) -> &'static str {
    match code {
        "UNAUTHORIZED" => "authentication required",
        "DENIED" => "requested access to the resource is denied",
        "MANIFEST_UNKNOWN" => "manifest unknown",
        "NAME_UNKNOWN" => "repository name not known to registry",
        "TOOMANYREQUESTS" => "too many requests",
        _ => "unknown error",
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Request Entity Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
