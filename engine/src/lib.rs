//! What each Docker verb does, told in terms of components.
//!
//! Owns: validation of requests against Docker's rules, the order in which components are called, what is undone when a
//! step fails, the choice of events, the container's specification (a pure value), restart and health decisions.
//! Must not know: HTTP, the command line, namespaces, netlink, tar formats; those are behind components and base crates.
//!
//! Read `engine.rs` first (what there is and how it is opened), then `layout.rs`, then `container/create.rs` and
//! `container/start.rs`, which every other verb builds on. One folder is one noun, one file is one verb. Locks: a
//! container's operation lock is held by one verb at a time; its transition lock while a start or an end is worked out;
//! lists and inspections take neither.

#![forbid(unsafe_code)]

pub mod build;
pub mod config;
pub mod container;
mod engine;
pub mod error;
mod etc;
pub mod event;
pub mod exec;
pub mod image;
pub mod layout;
pub mod network_service;
mod records;
pub mod registry;
mod storage;
pub mod system;
pub mod volume;
mod worker;

pub use config::Config;
pub use engine::Engine;
pub use error::{Error, Result};
