//! Failures of this library, in the words clients of runc know.

use linux::Errno;
use model::{ErrorKind, Kinded};

use crate::step::Step;

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure while making, starting or entering a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification asks for something that makes no sense or is not supported.
    #[error("{message}")]
    Spec {
        /// What is wrong.
        message: String,
    },
    /// The container's command cannot be executed; nothing else is wrong. The text is runc's, with the reason in it.
    #[error("exec: {program:?}: {reason}")]
    Command {
        /// The command as it was asked for.
        program: String,
        /// Why not.
        reason: String,
        /// The error number behind it.
        errno: Errno,
    },
    /// The working directory cannot be entered.
    #[error("chdir to cwd ({path:?}) set in config.json failed: {}", linux::errno::text(*.errno))]
    WorkingDirectory {
        /// As it was asked for.
        path: String,
        /// Why not.
        errno: Errno,
    },
    /// A mount could not be made.
    #[error("error during container init: error mounting {source_path:?} to rootfs at {destination:?}: {detail}{}", linux::errno::text(*.errno))]
    Mount {
        /// What was to be mounted.
        source_path: String,
        /// Where in the container.
        destination: String,
        /// What was being done, with a colon and a space, or nothing.
        detail: String,
        /// Why not.
        errno: Errno,
    },
    /// Any other step of the setup failed.
    #[error("error during container init: {step}{}: {}", spaced(.subject), linux::errno::text(*.errno))]
    Setup {
        /// What was being done.
        step: Step,
        /// To what; may be empty.
        subject: String,
        /// Why not.
        errno: Errno,
    },
    /// A system call of the caller's side failed.
    #[error("{step}{}: {}", spaced(.subject), linux::errno::text(*.errno))]
    System {
        /// What was being done.
        step: Step,
        /// To what; may be empty.
        subject: String,
        /// Why not.
        errno: Errno,
    },
    /// The container's process ended without saying why.
    #[error("container init process ended before it was ready")]
    Lost,
    /// A hook failed.
    #[error("error running {kind} hook #{number}: {reason}")]
    Hook {
        /// Which kind.
        kind: &'static str,
        /// Which one of its kind, counted from 0.
        number: usize,
        /// What happened.
        reason: String,
    },
    /// The control group could not be made or limited.
    #[error("unable to apply cgroup configuration")]
    Cgroup {
        /// Why not.
        #[from]
        source: linux::cgroup::Error,
    },
    /// The system call filter could not be compiled.
    #[error("error setting seccomp filter")]
    Seccomp {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn spaced(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(" {subject}") }
}

impl Error {
    pub(crate) fn spec(message: impl Into<String>) -> Self {
        Self::Spec { message: message.into() }
    }

    pub(crate) fn system(step: Step, subject: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let subject = subject.into();
        move |errno| Self::System { step, subject, errno }
    }

    /// The exit code Docker gives a container whose command could not be executed: 127 when it does not exist,
    /// 126 otherwise; nothing for other failures.
    pub fn command_exit_code(&self) -> Option<i32> {
        match self {
            Self::Command { errno: Errno::NOENT | Errno::NOTDIR, .. } => Some(127),
            Self::Command { .. } | Self::WorkingDirectory { .. } => Some(126),
            _ => None,
        }
    }
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Spec { .. } | Self::Command { .. } | Self::WorkingDirectory { .. } => ErrorKind::Invalid,
            Self::Cgroup { source } => source.kind(),
            _ => ErrorKind::Internal,
        }
    }
}
