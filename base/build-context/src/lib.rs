//! The files of a build: a folder, what its ignore file hides, a walk through the rest, and the walk as a tar stream.
//!
//! Purpose: client and engine see the same files of a folder, whether it is sent or read in place.
//! Owns: the patterns of `.dockerignore`, the choice of the ignore file, the order of the walk, what an archive of a
//! context looks like, limits on what a folder may ask of its reader.
//! Must not know: Dockerfiles, builds, the API, who asks.
//!
//! A walk goes through directory descriptors and never follows a link, so that nothing outside of the folder can get
//! into a build, whoever changes the folder meanwhile. Every file is looked at once. The archive is what Docker's
//! client sends: sorted by name in each folder, owned by root, times in whole seconds, of the extended attributes only
//! `security.capability`.
//!
//! Reading order: `ignore`, `context`, `walk`, `pack`.

#![forbid(unsafe_code)]

mod context;
mod error;
mod ignore;
mod pack;
mod walk;

pub use archive::EntryKind;
pub use context::Context;
pub use error::ContextError;
pub use ignore::{Above, Ignore, IgnoreError};
pub use pack::{Packed, Replacement};
pub use walk::{Entry, Limits, Walk};
