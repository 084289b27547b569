//! Commands about the engine as a whole.

pub mod check;
pub mod df;
pub mod dial_stdio;
pub mod events;
pub mod info;
pub mod prune;
pub mod version;
