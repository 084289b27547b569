//! What a shim answers, and what it reports by itself.

use model::{ErrorKind, Kinded, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Target;

/// Anything a shim sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ShimMessage {
    /// To the request with this number.
    Answer {
        /// The request's number.
        id: u64,
        /// What came of it.
        result: Result<Answer, Failure>,
    },
    /// Something happened.
    Event(Event),
}

/// A request that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing more to say.
    Done,
    /// The container was made and waits for its start.
    Created {
        /// The init process as the host numbers it.
        pid: i32,
    },
    /// The init process, or the exec process, runs.
    Started(Started),
    /// Everything the shim knows.
    State(Box<Snapshot>),
}

/// A process that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The process as the host numbers it.
    pub pid: i32,
    /// When.
    pub at: Timestamp,
}

/// A request that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{text}")]
pub struct Failure {
    /// Its class.
    pub kind: FailureKind,
    /// For people; holds all causes.
    pub text: String,
}

/// Classes of failures a shim tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// No such process.
    NotFound,
    /// Not possible in the container's present state.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The program to execute does not exist (exit code 127).
    CommandNotFound,
    /// The program cannot be executed (exit code 126).
    CommandNotExecutable,
    /// Anything else.
    Internal,
}

impl Kinded for Failure {
    fn kind(&self) -> ErrorKind {
        match self.kind {
            FailureKind::NotFound => ErrorKind::NotFound,
            FailureKind::Conflict => ErrorKind::Conflict,
            FailureKind::Invalid | FailureKind::CommandNotFound | FailureKind::CommandNotExecutable => {
                ErrorKind::Invalid
            }
            FailureKind::Internal => ErrorKind::Internal,
        }
    }
}

/// Something that happened to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The init process ended; the exit record is written.
    Exited(Exit),
    /// An exec process ended and its output is delivered.
    ExecExited {
        /// The exec's id.
        id: String,
        /// How it ended.
        exit: Exit,
    },
    /// The kernel killed a process of the container for lack of memory.
    OutOfMemory,
    /// A client's attachment ended.
    AttachEnded {
        /// The attachment's key.
        key: u64,
        /// Whose streams it had.
        target: Target,
        /// The client typed the detach keys.
        detached: bool,
    },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 plus the signal's number for a signalled process.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed a process of the container for lack of memory.
    pub oom_killed: bool,
    /// When.
    pub at: Timestamp,
}

/// How far the container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not made yet.
    Empty,
    /// Made; its process waits for the start.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Its process ended.
    Exited(Exit),
}

/// Everything a shim knows, for an engine that has just connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The protocol's version the shim speaks.
    pub version: u32,
    /// The container.
    pub id: String,
    /// How far it is.
    pub phase: Phase,
    /// The init process as the host numbers it; 0 before it is made.
    pub pid: i32,
    /// When the init process was let run.
    pub started_at: Option<Timestamp>,
    /// Exec processes that run, and those that ended since no engine was there to be told.
    pub execs: Vec<ExecSnapshot>,
    /// Attached clients by key.
    pub attached: Vec<u64>,
}

/// One exec process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSnapshot {
    /// The exec's id.
    pub id: String,
    /// The process as the host numbers it.
    pub pid: i32,
    /// How it ended, if it did.
    pub exit: Option<Exit>,
}
