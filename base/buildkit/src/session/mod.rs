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
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use grpc::cancellation::Hook;
use grpc::{Cancellation, Client, ClientCall, Code, Limits, Metadata, Status};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

pub use info::SessionInfo;
pub use sessions::Sessions;

/// A client's session. Calls can be made from several threads.
#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
    wire: Mutex<Wire>,
    gone: Cancellation,
    /// The connection once more, to see its end by; only where nobody reads it yet.
    watched: Option<OwnedFd>,
}

/// A session's connection.
#[derive(Debug)]
enum Wire {
    /// Nothing was asked yet.
    Silent {
        socket: OwnedFd,
        early: Vec<u8>,
    },
    Open {
        client: Client,
        _gone: Option<Hook>,
    },
    /// No thread or descriptor was to be had when something was asked first.
    Broken,
}

impl Session {
    /// A session on a connection that was taken out of HTTP/1, or on any other socket.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn new(info: SessionInfo, socket: OwnedFd, early: Vec<u8>) -> io::Result<Self> {
        let client = Client::new(socket, early, Limits::DEFAULT)?;
        let gone = client.gone().clone();
        Ok(Self { info, wire: Mutex::new(Wire::Open { client, _gone: None }), gone, watched: None })
    }

    /// A session of a client that hears nothing until it is asked something. Somebody has to [`Self::watch`] it.
    ///
    /// # Errors
    /// When no descriptor is to be had.
    pub fn when_asked(info: SessionInfo, socket: OwnedFd, early: Vec<u8>) -> io::Result<Self> {
        let watched = Some(socket.try_clone()?);
        Ok(Self {
            info,
            wire: Mutex::new(Wire::Silent { socket, early }),
            gone: Cancellation::new(),
            watched,
        })
    }

    /// Waits until the client is gone.
    pub fn watch(&self) {
        let Some(socket) = &self.watched else {
            let (sender, receiver) = std::sync::mpsc::channel();
            let _hook = self.gone.on_cancel(move || {
                let _ = sender.send(());
            });
            // The sender lives in the hook: an error says as well that it was called.
            let _ = receiver.recv();
            return;
        };
        let mut sockets = [PollFd::new(socket, PollFlags::RDHUP)];
        while let Ok(0) | Err(Errno::INTR) = poll(&mut sockets, None) {}
        self.gone.cancel();
    }

    /// What the client says about itself.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// The word that the client is gone.
    pub fn gone(&self) -> &Cancellation {
        &self.gone
    }

    /// What calls are made with; the first one begins to speak.
    fn client(&self) -> Result<Client, Status> {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if let Wire::Open { client, .. } = &*wire {
            return Ok(client.clone());
        }
        let failed =
            |error: io::Error| Status::new(Code::Unavailable, format!("speaking to the client: {error}"));
        let Wire::Silent { socket, early } = std::mem::replace(&mut *wire, Wire::Broken) else {
            return Err(Status::new(Code::Unavailable, "the client could not be spoken to"));
        };
        let client = Client::new(socket, early, Limits::DEFAULT).map_err(failed)?;
        let watched = self.watched.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?;
        // Whoever breaks off is gone, whether or not the connection is still there.
        let hook = watched.map(|socket| {
            client.gone().on_cancel(move || {
                let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
            })
        });
        *wire = Wire::Open { client: client.clone(), _gone: hook };
        Ok(client)
    }

    /// Whether the client serves a method.
    pub fn supports(&self, method: &str) -> bool {
        self.info.methods.iter().any(|known| known.eq_ignore_ascii_case(method))
    }

    /// Starts a call that ends when `until` is cancelled.
    fn start(&self, method: &str, metadata: Metadata, until: &Cancellation) -> Result<Under, Status> {
        self.need(method)?;
        let call = self.client()?.start(method, metadata, None);
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
        self.client()?.unary(method, Metadata::new(), Some(PATIENCE), request)
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
    _hook: Hook,
}

/// What is not there is none; other failures stay.
fn optional<T>(outcome: Result<T, Status>) -> Result<Option<T>, Status> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(status) if matches!(status.code, Code::NotFound | Code::Unimplemented) => Ok(None),
        Err(status) => Err(status),
    }
}
