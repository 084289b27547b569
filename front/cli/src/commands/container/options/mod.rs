//! The options of `run` and `create`: flags in, the document of `POST /containers/create` out.

mod body;
pub mod check;
mod device;
pub mod environment;
mod flags;
mod health;
mod mount;
mod network;
mod port;
mod security;
#[cfg(test)]
mod tests;
mod volume;

pub use body::{Created, build};
pub use check::restart_policy;
pub use environment::read_environment;
pub use flags::{FLAGS, LIMITS};
