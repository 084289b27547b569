//! The commands, one file per verb: arguments, call, view.

pub mod build;
pub mod builder;
pub mod container;
pub mod context;
pub mod each;
pub mod image;
pub mod inspect;
pub mod manifest;
pub mod network;
pub mod prune;
pub mod swarm;
pub mod system;
pub mod volume;
