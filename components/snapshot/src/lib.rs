//! Layers stacked into roots for containers: unpacking, writable snapshots, changes, sizes.
//!
//! Purpose: turn the layers of an image into directories the kernel can stack, and give every container a writable
//! one above them.
//! Owns: `<data-root>/snapshots`, the driver contract with its test suite, chain ids, the initial layer with the
//! mount points every container has.
//! Must not know: image records, containers (an active snapshot has just a key), mounts in any namespace: a driver
//! describes what to stack, the runtime stacks it inside the container's own mount namespace.
//!
//! A layer appears by one rename and is complete from then on; removal is a rename into the trash first. Layers not
//! yet on disk carry the boot they were unpacked in: after a power cut they are dropped at open and unpacked again
//! from their blobs, so that unpacking itself never waits for the disk.
//!
//! Reading order: `driver` (the contract), `snapshots` (the facade), `overlay/`, `change`, `usage`, `contract`.

#![forbid(unsafe_code)]

pub mod chain;
pub mod change;
pub mod contract;
pub mod driver;
pub mod error;
pub mod overlay;
mod snapshots;
pub mod usage;

pub use chain::chain_id;
pub use change::{Change, ChangeKind};
pub use driver::{Driver, Stack};
pub use error::SnapshotError;
pub use overlay::OverlayDriver;
pub use snapshots::{LayerSource, OpenLayer, Snapshots, export};
pub use usage::Usage;
