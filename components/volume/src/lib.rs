//! Named data that outlives containers.
//!
//! Purpose: directories (or mounts described by options) with a name, filled from the image once, removed when
//! nobody uses them.
//! Owns: `<data-root>/volumes/<name>/_data`, the table of volumes, the `local` driver's options, references by
//! containers.
//! Must not know: how a volume is mounted into a container (a [`Source`] says what to mount; the container's own
//! mount namespace is the only place where it is), images and containers beyond an id and a directory descriptor.
//!
//! The record is written after the directory is made and removed before the directory: a crash leaves at most a
//! directory without a record, which is cleaned up at open.
//!
//! Reading order: `volume` (what others see), `volumes` (the facade), `options`, `prefill`, `usage`.

#![forbid(unsafe_code)]

pub mod error;
pub mod options;
mod prefill;
mod usage;
mod volume;
mod volumes;

pub use error::VolumeError;
pub use options::Source;
pub use volume::{CreateVolume, Volume};
pub use volumes::Volumes;
