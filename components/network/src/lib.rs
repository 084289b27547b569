//! Networks, endpoints, sandboxes, addresses, published ports, firewall and the files that name hosts.
//!
//! Purpose: give a container a network namespace that is connected the way Docker connects it, in about a
//! millisecond, and leave nothing behind when it goes, whatever was killed meanwhile.
//!
//! Owns: network records, the bridge, prepared sandboxes, address and port allocation, one nftables table of
//! its own, the accept rules a foreign forward-drop policy makes necessary, reserved host ports, and the text of
//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.
//!
//! Must not know: containers as such (only their id and name), API documents, the runtime, the shim.
//!
//! A network namespace has no name in the file system: it lives by descriptors and processes. A veth is never
//! deleted; it dies with its namespace, off everybody's path. Endpoints of living containers are written to
//! `<exec-root>/network/endpoints/` (tmpfs), which is all a restarted engine needs.
//!
//! Reading order: [`config`], [`record`], [`manager`] (the entry), [`endpoint`], [`sandbox`],
//! [`port`], [`files`], [`link`], [`statistics`].
#![forbid(unsafe_code)]

pub mod address_pool;
mod addressing;
mod adopt;
mod attach;
mod bridge;
pub mod config;
mod create;
pub mod endpoint;
pub mod files;
mod filter;
mod firewall;
mod forwarder;
mod free_subnet;
pub mod link;
pub mod manager;
mod open;
mod persistence;
pub mod port;
pub mod port_reservation;
mod publish;
pub mod record;
mod release;
pub mod sandbox;
mod sandbox_pool;
pub mod statistics;

pub use config::Config;
pub use endpoint::{AttachRequest, Endpoint};
pub use manager::{NetworkError, NetworkManager};
pub use port::{Protocol, PublishRequest, PublishedPort};
pub use record::{CreateNetwork, Network};
pub use sandbox::Sandbox;
