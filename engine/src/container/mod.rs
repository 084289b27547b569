//! Containers: one file per verb.

pub mod capability;

pub mod cpuset;
pub mod limits;
pub mod log_config;
pub mod merge;
pub mod mount_request;
pub mod parameters;
pub mod port_spec;
pub mod security;
pub mod settings;
pub mod spec;
pub mod user;
pub mod validate;
