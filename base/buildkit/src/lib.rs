//! BuildKit's protocol: its messages, its session from the builder's side, its errors.
//!
//! It owns the messages of `moby.buildkit.v1` and of the services a client offers in its session, written by hand from
//! field numbers (`prost` encodes them); fields that are not named here are skipped when read, as the format wants it.
//! It owns the moves of a session too: getting the files of a folder, secrets, credentials, an ssh agent, bytes held by
//! the client, and sending results back.
//!
//! It must not know any engine, solver or image store: what builds is behind a trait in `api-server`.
//!
//! Reading order: [`control`], [`gateway`] and the messages they use; [`errdefs`]; [`session`].

#![forbid(unsafe_code)]

pub mod caps;
pub mod control;
pub mod errdefs;
pub mod fsutil;
pub mod gateway;
pub mod ops;
pub mod policy;
pub mod services;
pub mod session;
#[cfg(test)]
mod tests;
pub mod time;
pub mod worker;
