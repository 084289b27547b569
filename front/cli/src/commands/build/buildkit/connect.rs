//! The two connections of a build: one to ask the builder on, one on which it asks us.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use api_client::Client;
use buildkit::client::{Builder, Offer};
use buildkit::session::info;
use grpc::Limits;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::failure::Failure;

/// A connection to the engine's builder.
///
/// # Errors
/// When the engine cannot be reached, or has none.
pub(in crate::commands) fn builder(client: &Client) -> Result<Builder, Failure> {
    let (socket, early) = door(client, "/grpc", &[])?;
    Ok(Builder::new(socket, early)?)
}

/// A session that serves what is offered until the program ends or what is returned is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    /// What builds name it by.
    pub id: String,
    socket: OwnedFd,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// Opens a session.
///
/// # Errors
/// When the engine cannot be reached, or has no sessions.
pub(super) fn serve(client: &Client, offer: Offer, name: &str, shared_key: &str) -> Result<Serving, Failure> {
    let id = model::id::random_hex()[..25].to_owned();
    let [uuid, label, key, method] = info::HEADERS;
    let mut headers = vec![(uuid, id.as_str()), (label, name), (key, shared_key)];
    let methods = offer.methods();
    headers.extend(methods.iter().map(|one| (method, *one)));
    headers.push((info::WHEN_ASKED, "1"));
    let (socket, early) = door(client, "/session", &headers)?;
    let kept = socket.try_clone()?;
    let serving = move || {
        // Most builds ask for nothing.
        if !early.is_empty() || is_asked(&socket) {
            // How a builder leaves is its own affair; what it wanted and did not get fails the build.
            drop(grpc::serve(socket, early, Arc::new(offer), Limits::DEFAULT));
        }
    };
    std::thread::Builder::new().name("session".into()).spawn(serving)?;
    Ok(Serving { id, socket: kept })
}

fn door(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<(OwnedFd, Vec<u8>), Failure> {
    let upgraded = client.upgrade_to("h2c", path, headers)?;
    Ok((upgraded.socket.as_fd().try_clone_to_owned()?, upgraded.early))
}

/// Waits until something comes; whether it does before the end.
fn is_asked(socket: &OwnedFd) -> bool {
    loop {
        match rustix::net::recv(socket, &mut [0], RecvFlags::PEEK) {
            Ok((count, _)) => return count > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
