//! The vocabulary that all components share: ids, names, labels, filters, error kinds, times, signals.
//!
//! This crate owns words, not behaviour. It knows nothing of Docker's documents (`api`), of OCI documents
//! (`oci`) or of the kernel (`linux`), and it does no input or output of its own.
//!
//! Reading order: [`error`] (every error of every crate has a kind), [`id`], [`label`], [`filter`],
//! [`timestamp`], [`duration`], [`signal`], [`name`], [`size`], [`ulimit`], [`boolean`], [`csv`], [`path`], [`pattern`], [`quote`].

pub mod boolean;
pub mod csv;
pub mod duration;
pub mod error;
pub mod filter;
pub mod id;
pub mod label;
pub mod name;
pub mod path;
pub mod pattern;
pub mod quote;
pub mod signal;
pub mod size;
pub mod timestamp;
pub mod ulimit;

pub use error::{ErrorKind, Kinded};
pub use filter::Filters;
pub use id::{ContainerId, EndpointId, ExecId, NetworkId};
pub use label::Labels;
pub use signal::Signal;
pub use timestamp::Timestamp;
pub use ulimit::Ulimit;
