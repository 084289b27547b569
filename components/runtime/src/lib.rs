//! From an OCI specification to a running process: create, start, exec, signal, remove.
//!
//! It owns everything that happens between "here is a specification" and "the command runs": namespaces, root file
//! system, mounts, devices, terminal, limits, identity, system call filter, hooks. It knows nothing of images,
//! networks, records or logs, keeps no state of its own except what [`store`] writes for the command line program,
//! and starts no helper program.
//!
//! The caller ([`create`], [`exec`]) parses, opens and prepares everything in a [`plan`]; the new process (`child`)
//! only executes that plan with system calls: it allocates nothing, takes no lock, and tells failures as numbers over
//! a socket (`report`). Inside the container's root, paths are only ever resolved by `openat2` below the root.
//!
//! Reading order: [`request`], [`create`], `plan`, `child`, `report`, [`exec`], [`gate`], [`hook`], [`init`],
//! [`store`], [`features`], [`template`].

#![forbid(unsafe_code)]

mod birth;
pub mod cgroup;
mod child;
pub mod container;
pub mod create;
pub mod error;
pub mod exec;
pub mod features;
pub mod gate;
pub mod hook;
mod id_map;
pub mod init;
mod listener;
mod plan;
mod report;
pub mod request;
mod root;
mod step;
pub mod store;
mod stream;
pub mod template;

pub use create::{Created, create};
pub use error::{Error, Result};
pub use exec::{Exec, exec};
pub use request::{CgroupPlacement, CreateRequest, ExecRequest, Gate, InitProgram, RootTree, Stdio};
pub use step::Step;
