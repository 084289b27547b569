//! Commands on the build cache.

pub mod du;
pub mod history;
pub mod instance;
pub mod mount;
pub mod prune;
mod record;
