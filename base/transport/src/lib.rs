//! HTTP over unix sockets, TCP and TLS, client and server, and the framing of streams.
//!
//! It owns how bytes travel: listeners and connections, request heads and bodies within limits, answers whole or
//! streamed, sockets taken out of HTTP (hijack, websocket), TLS bridged to a plain socket pair so that every
//! connection is one descriptor that can be handed to a shim, and the frames that carry stdout and stderr.
//!
//! It must not know any route, document or version of Docker's API; those are `api` and `api-server`.
//! Everything blocks: one thread per connection, and no timer runs while nothing happens.
//!
//! Reading order: [`server`] (`mod.rs`, then `connection`, `exchange`, `body`, `listener`), [`tls`], [`framing`],
//! [`client`].

#![forbid(unsafe_code)]

pub mod client;
pub mod framing;
pub mod server;
pub mod tls;
