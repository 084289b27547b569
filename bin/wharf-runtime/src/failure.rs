//! What a command fails with: a text for people and clients, and an exit code.

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// What the program ends with.
    pub(crate) code: u8,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// With a text and exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// Says which command failed, as clients of runc expect it.
    pub(crate) fn of(command: &str, cause: impl std::fmt::Display) -> Self {
        Self::new(format!("wharf-runtime {command} failed: {cause}"))
    }

    /// With another exit code.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<runtime::store::Error> for Failure {
    fn from(error: runtime::store::Error) -> Self {
        Self::new(model::error::chain(&error))
    }
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        Self::new(format!("unable to start container process: {}", model::error::chain(&error)))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<linux::Errno> for Failure {
    fn from(error: linux::Errno) -> Self {
        Self::new(linux::errno::text(error))
    }
}
