//! What `--link` gives a container on the default bridge: environment and hosts entries.

use std::net::IpAddr;

use crate::port::Protocol;

/// The container that is linked to, as far as a link shows it.
#[derive(Debug, Clone)]
pub struct LinkTarget<'a> {
    /// The linking container's own name, without slash.
    pub parent_name: &'a str,
    /// The name the link gives it (`--link name:alias`).
    pub alias: &'a str,
    /// Its name without slash.
    pub name: &'a str,
    /// Its host name.
    pub hostname: &'a str,
    /// Its address on the default bridge.
    pub address: IpAddr,
    /// Its exposed ports.
    pub exposed: &'a [(u16, Protocol)],
    /// Its environment (`KEY=value`).
    pub environment: &'a [String],
}

/// The environment variables Docker adds for one link, in its order.
pub fn environment(_target: &LinkTarget<'_>) -> Vec<String> {
    Vec::new()
}

/// The `/etc/hosts` names of one link: alias, then host name or name where they differ.
pub fn host_names(_target: &LinkTarget<'_>) -> Vec<String> {
    Vec::new()
}
