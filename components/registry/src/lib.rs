//! A registry: repositories of images, spoken to by the OCI distribution specification.
//!
//! Owns what a registry holds and how it answers: [`storage`] (records and blobs behind a driver trait with a contract
//! suite), [`registry`] (what may be pushed, pulled, removed and collected), [`auth`] (who may),
//! [`upstream`] (registries it mirrors)
//! and [`server`] (the HTTP side).
//!
//! It must not know command lines, signals or where its configuration lies; that is `bin/wharf-registry`. It has no
//! timers: stale uploads are swept when others begin, collection runs when it is asked for.
//!
//! Reading order: `name`, `registry/record`, `registry/upload`, `registry/blob`, `registry/manifest`,
//! `registry/collect`, then `server/route` and `server/mod`.

#![forbid(unsafe_code)]

pub mod auth;
pub mod error;
pub mod name;
pub mod pattern;
pub mod percent;
pub mod registry;
pub mod server;
pub mod storage;
pub mod upstream;

pub use error::{Code, RegistryError};
pub use registry::{Options, Registry};
