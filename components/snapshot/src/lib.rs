//! Layers stacked into roots for containers: unpacking, writable snapshots, changes, sizes.
//!
//! Purpose: turn the layers of an image into something the kernel can stack, and give every container a writable
//! layer above it.
//! Owns: `<data-root>/snapshots`, the driver contract with its test suite, chain ids, the initial layer with the
//! mount points every container has.
//! Must not know: image records, containers (an active snapshot has just a key), mounts in any namespace: a driver
//! describes what to stack, the runtime stacks it inside the container's own mount namespace.
//!
//! Two drivers: one unpacks layers to directories, the other keeps their tars as they came and mounts indexes of them.
//! All but the form of layers is common to both. A layer appears by one rename and is complete from then on; removal is
//! a rename into the trash first. Layers not yet on disk carry the boot they were made in: after a power cut they are
//! dropped at open and made again from their blobs, so that taking one in never waits for the disk.
//!
//! Reading order: `driver` (the contract), `snapshots` (the facade), `stacked`, `directories`, `indexes`, `change`,
//! `usage`, `contract`.

#![forbid(unsafe_code)]

pub mod chain;
pub mod change;
pub mod contract;
pub mod directories;
pub mod driver;
pub mod error;
pub mod indexes;
mod snapshots;
pub mod stacked;
pub mod usage;

pub use chain::chain_id;
pub use change::{Change, ChangeKind};
pub use directories::OverlayDriver;
pub use driver::{Driver, Stack};
pub use error::SnapshotError;
pub use indexes::ErofsDriver;
pub use snapshots::{DriverChoice, LayerSource, OpenLayer, Snapshots, export};
pub use stacked::unnamed::Unnamed;
pub use usage::Usage;
