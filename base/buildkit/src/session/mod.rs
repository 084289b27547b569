//! A session: a connection on which the client serves what the build needs of it.

pub mod auth;
pub mod content;
pub mod info;
mod pieces;
pub mod secret;
pub mod send;
pub mod sessions;
pub mod ssh;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod tunnel;
pub mod upload;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use grpc::{Cancellation, Client, ClientCall, Code, Limits, Metadata, Status};

pub use info::SessionInfo;
pub use sessions::Sessions;

/// A client's session. Calls can be made from several threads.
#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
    client: Client,
}

impl Session {
    /// A session on a connection that was taken out of HTTP/1, or on any other socket.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn new(info: SessionInfo, socket: OwnedFd, early: Vec<u8>) -> io::Result<Self> {
        Ok(Self { info, client: Client::new(socket, early, Limits::DEFAULT)? })
    }

    /// What the client says about itself.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// The word that the client is gone.
    pub fn gone(&self) -> &Cancellation {
        self.client.gone()
    }

    /// Whether the client serves a method.
    pub fn supports(&self, method: &str) -> bool {
        self.info.methods.iter().any(|known| known.eq_ignore_ascii_case(method))
    }

    /// Starts a call that ends when `until` is cancelled.
    fn start(&self, method: &str, metadata: Metadata, until: &Cancellation) -> Result<Under, Status> {
        self.need(method)?;
        let call = self.client.start(method, metadata, None);
        let cancellation = call.cancellation.clone();
        let hook = until.on_cancel(move || cancellation.cancel());
        Ok(Under { call, _hook: hook })
    }

    /// Makes a call of one message and one answer.
    fn ask<A: prost::Message + Default>(
        &self,
        method: &str,
        request: &impl prost::Message,
    ) -> Result<A, Status> {
        self.need(method)?;
        self.client.unary(method, Metadata::new(), Some(PATIENCE), request)
    }

    fn need(&self, method: &str) -> Result<(), Status> {
        if self.supports(method) {
            return Ok(());
        }
        Err(Status::new(Code::Unimplemented, format!("method {method} not supported by the client")))
    }
}

/// How long a client may think about a single answer; people may be asked for a password meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// A call and the hook that ends it.
#[derive(Debug)]
struct Under {
    call: ClientCall,
    _hook: grpc::cancellation::Hook,
}

/// What is not there is none; other failures stay.
fn optional<T>(outcome: Result<T, Status>) -> Result<Option<T>, Status> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(status) if matches!(status.code, Code::NotFound | Code::Unimplemented) => Ok(None),
        Err(status) => Err(status),
    }
}
