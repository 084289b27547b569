//! Why a call of the API failed, in the words Docker's clients use.

use model::{ErrorKind, Kinded};
use transport::client::HttpError;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens at the address.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    Connect {
        /// The address as the user gave it.
        host: String,
        /// The kernel's reason; already told by the text.
        reason: std::io::ErrorKind,
    },
    /// The socket may not be opened by this user.
    #[error("permission denied while trying to connect to the Docker daemon socket at {host}")]
    Denied {
        /// The address as the user gave it.
        host: String,
    },
    /// TLS, ssh or the network refused.
    #[error("error during connect: {reason}")]
    Dial {
        /// What they said.
        reason: String,
    },
    /// The engine refused.
    #[error("Error response from daemon: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's text.
        message: String,
    },
    /// The connection broke or the answer is no HTTP.
    #[error("error during connect: {0}")]
    Broken(String),
    /// The answer is not the expected document.
    #[error("Error reading remote info: {0}")]
    Document(#[from] serde_json::Error),
    /// The wanted API version can't be spoken.
    #[error("{0}")]
    Version(String),
}

impl Kinded for ClientError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { status, .. } => match status {
                304 => ErrorKind::NotModified,
                400 => ErrorKind::Invalid,
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                404 => ErrorKind::NotFound,
                409 => ErrorKind::Conflict,
                501 => ErrorKind::NotImplemented,
                503 => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
            Self::Version(_) => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }
}

impl ClientError {
    /// Whether the engine does not know the object.
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    pub(crate) fn from_http(error: HttpError, host: &str) -> Self {
        let HttpError::Connect(cause) = error else { return Self::Broken(model::error::chain(&error)) };
        match cause.kind() {
            std::io::ErrorKind::PermissionDenied => Self::Denied { host: host.to_owned() },
            std::io::ErrorKind::NotFound if host.starts_with("ssh://") => {
                Self::Dial { reason: cause.to_string() }
            }
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                Self::Connect { host: host.to_owned(), reason: cause.kind() }
            }
            _ => Self::Dial { reason: cause.to_string() },
        }
    }
}
