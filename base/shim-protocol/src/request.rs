//! What the engine asks a shim to do.

use serde::{Deserialize, Serialize};

use crate::Create;

/// One request; the shim answers each with the same number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the engine, unique on its connection.
    pub id: u64,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Make the container. Descriptors: the network namespace if `netns` says so, then the mount
    /// below the root's trees if `rootfs` has one. Tail: the seccomp program.
    Create(Box<Create>),
    /// Let a created container's process run.
    Start,
    /// Run another process in the container. Descriptors: the client's socket if `attach` is given. Tail: the seccomp program.
    Exec(Box<Exec>),
    /// Connect a client to a process. Descriptors: the client's socket. Allowed before `Create`.
    Attach(Attach),
    /// Set the terminal's size.
    Resize {
        /// Whose terminal.
        target: Target,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    },
    /// Send a signal.
    Signal {
        /// To whom.
        target: Target,
        /// The kernel's number.
        signal: i32,
        /// To every process of the container instead of the init process only.
        all: bool,
    },
    /// Freeze every process.
    Pause,
    /// Let frozen processes go on.
    Resume,
    /// Report everything the shim knows; sent by an engine that has just connected.
    State,
    /// The engine has noted an exec's end: its client may be told now. (A client asks for the exit code the moment its
    /// stream ends.) Not answered.
    ExecCollected {
        /// The exec's id.
        id: String,
    },
    /// The engine has taken over the exit: the shim may end. Not answered.
    Acknowledge,
}

/// A process of the container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// The init process.
    Init,
    /// The exec process with this id.
    Exec(String),
}

/// A client that wants a process's standard streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Chosen by the engine; named again when the client has gone.
    pub key: u64,
    /// Whose streams.
    pub target: Target,
    /// Bytes from the client go to the process.
    pub stdin: bool,
    /// The client gets standard output (or the terminal's output).
    pub stdout: bool,
    /// The client gets standard error.
    pub stderr: bool,
    /// Put Docker's eight-byte header before each piece of output.
    pub framed: bool,
    /// Bytes that, typed by the client, end the attachment; empty for none.
    pub detach_keys: Vec<u8>,
    /// Bytes of input the engine has read from the connection already, to be delivered first.
    pub early_input: Vec<u8>,
}

/// Another process in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The exec's id.
    pub id: String,
    /// The process, as the OCI runtime specification describes it (`terminal` gives it a pty).
    pub process: oci::runtime::Process,
    /// Standard input is a pipe (or the terminal) instead of /dev/null.
    pub open_stdin: bool,
    /// The client that gets the streams; its target is this exec. None for a detached exec: output is thrown away.
    pub attach: Option<Attach>,
}
