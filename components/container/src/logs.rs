//! Reading what a container has written, in the form clients get it.

pub use jsonlog::{Follow, Query};
