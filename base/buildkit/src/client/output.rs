//! Places for results: bytes that somebody writes away, or a folder that files are put into.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use grpc::{Code, Inbound, Outbound, Status};
use linux::root::RootDir;

use crate::services::BytesMessage;
use crate::session::sync::{self, SyncError, SyncLimits};

/// Makes the place when the bytes come.
type Opening = Box<dyn FnOnce() -> io::Result<Box<dyn Write + Send>> + Send>;

/// A place for one result.
pub enum Output {
    /// Bytes: an archive.
    Bytes(Mutex<Option<Opening>>),
    /// Files, put beside what is there; they belong to whoever runs this.
    Folder(RootDir),
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bytes(_) => "Output::Bytes",
            Self::Folder(_) => "Output::Folder",
        })
    }
}

impl Output {
    /// Bytes, written to what `open` gives when they come.
    pub fn bytes(open: impl FnOnce() -> io::Result<Box<dyn Write + Send>> + Send + 'static) -> Self {
        Self::Bytes(Mutex::new(Some(Box::new(open))))
    }

    /// Takes a result.
    pub(super) fn take(&self, mut inbound: Inbound, outbound: Outbound) -> Result<(), Status> {
        match self {
            Self::Bytes(opening) => {
                let opening = opening.lock().unwrap_or_else(PoisonError::into_inner).take();
                let opening = opening
                    .ok_or_else(|| Status::new(Code::AlreadyExists, "the output was written already"))?;
                let mut out = opening().map_err(|error| failed(&error))?;
                while let Some(message) = inbound.recv::<BytesMessage>()? {
                    out.write_all(&message.data).map_err(|error| failed(&error))?;
                }
                out.flush().map_err(|error| failed(&error))
            }
            Self::Folder(root) => {
                let received = sync::merge(root, SyncLimits::default(), inbound, outbound);
                received.map(drop).map_err(|error| match error {
                    SyncError::Peer(status) => status,
                    error => Status::new(Code::Unknown, model::error::chain(&error)),
                })
            }
        }
    }
}

fn failed(error: &io::Error) -> Status {
    Status::new(Code::Unknown, error.to_string())
}
