//! Commands on the build cache.

pub mod du;
pub mod prune;
mod record;
