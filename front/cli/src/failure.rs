//! How a command ends badly: what is printed and which exit code the process gives.

use api_client::ClientError;
use model::Kinded;

/// A command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A text for standard error.
    #[error("{text}")]
    Text {
        /// What is printed.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// Nothing to print: the exit code says it.
    #[error("exit status {0}")]
    Status(u8),
    /// The engine refused or is not there.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file or stream of this machine failed.
    #[error("{0}")]
    Local(#[from] std::io::Error),
}

impl Kinded for Failure {
    fn kind(&self) -> model::ErrorKind {
        match self {
            Self::Client(error) => error.kind(),
            Self::Text { .. } => model::ErrorKind::Invalid,
            Self::Status(_) | Self::Local(_) => model::ErrorKind::Internal,
        }
    }
}

/// The answer of a command.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// A text with exit code 1.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), code: 1 }
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Text { code, .. } | Self::Status(code) => *code,
            Self::Client(_) | Self::Local(_) => 1,
        }
    }

    /// Whether nobody reads our output any more (`docker logs x | head`).
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Local(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// What is printed: the text, with a capital where docker's is one already.
    pub fn message(&self) -> String {
        match self {
            Self::Status(_) => String::new(),
            Self::Local(error) => go_io_error(error),
            other => other.to_string(),
        }
    }
}

/// The text Go has for an operating system error: no capital, no number.
pub fn go_io_error(error: &std::io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => {
            let text = std::io::Error::from_raw_os_error(code).to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
        None => return error.to_string(),
    };
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// A failure about a file, as Go says it: `open /x: no such file or directory`.
pub fn file_failure(action: &str, path: &str, error: &std::io::Error) -> Failure {
    Failure::text(format!("{action} {path}: {}", go_io_error(error)))
}
