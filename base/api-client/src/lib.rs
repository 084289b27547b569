//! A blocking client of the Docker Engine API.
//!
//! It owns: addressing an engine, agreeing on a version (1.24 to 1.55), escaping paths and queries, turning
//! refusals into errors with the engine's own words, and the streams (hijacked stdio, records line by line).
//! It must not know any command, flag or table: that is `front/cli` and `front/compose`.
//!
//! Answers are given as the caller's own type: a document of `api` where fields matter, a raw
//! `serde_json::Value` where everything the engine said has to be shown, whatever its version.
//!
//! Reading order: [`client`] (one request), [`query`], [`error`], [`record`] (streams of JSON records),
//! [`stdio`] (frames of attach and logs).

#![forbid(unsafe_code)]

pub mod client;
pub mod error;
pub mod query;
pub mod record;
pub mod stdio;

pub use client::{Client, Options, Ping};
pub use error::ClientError;
pub use query::Query;
pub use transport::client::{
    Body, Endpoint, EndpointError, FileBody, Head, Response, Socket, TlsFiles, Upgraded,
};
