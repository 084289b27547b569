//! BuildKit's protocol: its messages, its session from the builder's side, its errors.
//!
//! It owns the messages of `moby.buildkit.v1` and of the services a client offers in its session, written by hand from
//! field numbers (`prost` encodes them); fields that are not named here are skipped when read, as the format wants it.
//! It owns the moves of a session too: getting the files of a folder, secrets, credentials, an ssh agent, bytes held by
//! the client, and sending results back.
//!
//! It owns the client's side of the same: calls of the control service, and the services a client has in its session.
//!
//! It owns the control service's moves: which calls make one build, who waits for whom, what listeners are told.
//!
//! It must not know any engine, solver or image store: what builds is behind [`server::Backend`].
//!
//! Reading order: [`control`], [`gateway`] and the messages they use; [`errdefs`]; [`session`], [`server`]; [`client`].

#![forbid(unsafe_code)]

pub mod caps;
pub mod client;
pub mod control;
pub mod errdefs;
pub mod fsutil;
pub mod gateway;
pub mod ops;
pub mod policy;
pub mod server;
pub mod services;
pub mod session;
#[cfg(test)]
mod tests;
pub mod time;
pub mod worker;
