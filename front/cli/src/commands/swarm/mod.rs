//! Commands on the cluster.

pub mod leave;
pub mod nodes;
pub mod services;
