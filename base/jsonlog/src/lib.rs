//! Log files: Docker's `json-file` format and a compact one for `local`, written by the shim, read by the engine.
//!
//! One record of `json-file` is one line of JSON: `{"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.6Z"}`.
//! The text of a record ends with a newline, or has none when a line longer than 16 KiB was split or the output ended
//! without one. `path` is the file being written; `path.1` is the one before it, and so on, with `.gz` when compressed.
//!
//! A record of the compact format is a line too, see `compact`; readers tell each line's format by its first letter.
//!
//! It owns the file formats, rotation, and finding the place where `tail` and `since` begin. It knows nothing of
//! containers, and never decides when to log: it is handed bytes.
//!
//! No index is kept beside the log: lines are counted backwards for `tail`, and `since` is found by bisection, since
//! times only grow. A reader never trusts the end of the file; a torn last line, as a crash leaves it, is skipped.
//!
//! Reading order: encode, compact, writer, rotation; decode, file, seek, reader, follow.

#![forbid(unsafe_code)]

mod clock;
mod compact;
mod decode;
mod encode;
mod file;
mod follow;
mod reader;
mod rotation;
mod seek;
mod writer;

use std::io;
use std::path::PathBuf;

use model::{ErrorKind, Kinded};

pub use decode::Record;
pub use follow::Follow;
pub use reader::{Query, Sink, read};
pub use writer::{Format, Options, Writer};

/// Which output of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The longest text of one record: a longer line becomes several.
pub const LONGEST: usize = 16 * 1024;

/// A failure with a log file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or made.
    #[error("opening log {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record could not be written; it is lost, the file is as it was before.
    #[error("writing log {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("reading log {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A full file could not be moved aside.
    #[error("rotating log {path}")]
    Rotate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        }
    }
}
