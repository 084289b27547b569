//! Connections of a build: one to ask the builder on, one on which it asks us.

use std::os::fd::{AsFd as _, OwnedFd};

use api_client::{Client, Upgraded};
use buildkit::client::Builder;

use crate::failure::Failure;

/// A connection to the engine's builder.
///
/// # Errors
/// When the engine cannot be reached, or has none.
pub(in crate::commands) fn builder(client: &Client) -> Result<Builder, Failure> {
    Ok(builder_and_engine(client)?.0)
}

/// The same, and whether the engine is one of ours.
///
/// # Errors
/// As above.
pub(super) fn builder_and_engine(client: &Client) -> Result<(Builder, bool), Failure> {
    let upgraded = client.upgrade_to("h2c", "/grpc", &[])?;
    // Engines of ours say so at once, or did so to a ping once.
    let is_wharf = upgraded.head.header("Wharf-Version").is_some() || client.ping()?.is_wharf;
    let (socket, early) = taken(upgraded)?;
    Ok((Builder::new(socket, early)?, is_wharf))
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
    taken(client.upgrade_to("h2c", path, headers)?)
}

fn taken(upgraded: Upgraded) -> Result<(OwnedFd, Vec<u8>), Failure> {
    Ok((upgraded.socket.as_fd().try_clone_to_owned()?, upgraded.early))
}
