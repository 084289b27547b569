//! Messages between the engine and a container's shim, and their framing on a unix stream socket.
//!
//! Purpose: both ends of the connection that outlives engine restarts speak through these types.
//!
//! Owns: the request, answer and event documents; the frame (header, JSON, binary tail, descriptors); its limits.
//!
//! Must not know: how a container is made, how the shim is started, or what Docker calls anything.
//!
//! Frame: three little-endian 32-bit numbers (bytes of JSON, bytes of binary tail, number of descriptors), the JSON, the tail.
//! Descriptors ride on the frame's first byte as SCM_RIGHTS. The engine sends [`Request`]s; the shim sends
//! [`ShimMessage`]s: one answer for each request, events whenever they happen.
//!
//! Reading order: [`request`], [`answer`], [`launch`], then [`frame`].

#![forbid(unsafe_code)]

pub mod answer;
pub mod frame;
pub mod launch;
pub mod request;

pub use answer::{
    Answer, Event, ExecSnapshot, Exit, Failure, FailureKind, Phase, ShimMessage, Snapshot, Started,
};
pub use frame::{Frame, FrameError, Reader, encode, send};
pub use launch::{Create, LogTarget, Overlay, Rootfs, Rotation};
pub use request::{Attach, Command, Exec, Request, Target};

/// Name of the socket a shim listens on, inside the container's directory below the exec root.
pub const SOCKET_NAME: &str = "shim.sock";
/// Name of the exit record inside the container's directory below the exec root.
pub const EXIT_NAME: &str = "exit.json";
/// Version of this protocol; a shim that speaks another one is only signalled and waited for.
pub const VERSION: u32 = 1;
