//! gRPC over HTTP/2 on a plain socket, as server and as client, with nothing asynchronous in sight of its users.
//!
//! It owns how calls travel: heads, metadata, messages in their five-byte framing, status and its details in trailers,
//! deadlines, cancellation in both directions, and the limits a peer is held to. HTTP/2 itself is the `h2` crate's
//! work, driven by one thread for each connection (`docs/decisions/0040-http2-in-one-thread.md`); handlers are plain
//! functions that block, in threads of their own. Between the two stand bounded channels, so that a slow reader on
//! either side closes the window on the wire.
//!
//! It must not know any service but `grpc.health.v1`, nor where a socket comes from: a unix socket, an upgraded HTTP/1
//! connection and one end of a socket pair are the same to it.
//!
//! Reading order: [`status`], [`metadata`], [`call`], [`server`], [`client`]; then the inside: `framing`, `pump`, `io`.

#![forbid(unsafe_code)]

pub mod call;
pub mod cancellation;
pub mod client;
mod framing;
mod head;
mod health;
mod io;
pub mod limits;
pub mod metadata;
mod pump;
pub mod server;
pub mod status;
#[cfg(test)]
mod tests;
mod timeout;

pub use call::{Call, Inbound, Outbound};
pub use cancellation::{Cancellation, Hook};
pub use client::{Client, ClientCall};
pub use limits::Limits;
pub use metadata::Metadata;
pub use server::{Service, serve};
pub use status::{Code, Status};
