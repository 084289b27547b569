//! What each Docker verb does, told in terms of components.
//!
//! Owns: validation of requests against Docker's rules, the order in which components are called, what is undone when a
//! step fails, the choice of events, the container's specification (a pure value), restart and health decisions.
//! Must not know: HTTP, the command line, namespaces, netlink, tar formats; those are behind components and base crates.
//!
//! Read `engine.rs` first (what there is and how it is opened), then `layout.rs`, then `container/create.rs` and
//! `container/start.rs`, which every other verb builds on. One folder is one noun, one file is one verb.

#![forbid(unsafe_code)]

pub mod config;
pub mod container;
pub mod error;
pub mod event;
pub mod layout;

pub use config::Config;
pub use error::{Error, Result};
