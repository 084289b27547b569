//! Connections of a build: one to ask the builder on, one on which it asks us.

use std::os::fd::{AsFd as _, OwnedFd};

use api_client::Client;
use buildkit::client::Builder;

use crate::failure::Failure;

/// A connection to the engine's builder.
///
/// # Errors
/// When the engine cannot be reached, or has none.
pub(in crate::commands) fn builder(client: &Client) -> Result<Builder, Failure> {
    let (socket, early) = door(client, "/grpc", &[])?;
    Ok(Builder::new(socket, early)?)
}

/// A connection that speaks HTTP/2 from here on, and what came on it already.
///
/// # Errors
/// When the engine cannot be reached, or has no such door.
pub(super) fn door(
    client: &Client,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(OwnedFd, Vec<u8>), Failure> {
    let upgraded = client.upgrade_to("h2c", path, headers)?;
    Ok((upgraded.socket.as_fd().try_clone_to_owned()?, upgraded.early))
}
