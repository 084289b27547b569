//! `/etc/hosts` the way Docker writes it.

use std::net::IpAddr;

/// One line: an address and its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address, or whatever `--add-host` gave.
    pub address: String,
    /// Names in order, the first the canonical one.
    pub names: Vec<String>,
}

/// What the file is made from.
#[derive(Debug, Clone, Default)]
pub struct HostsRequest<'a> {
    /// `--hostname` (the short id by default).
    pub hostname: &'a str,
    /// `--domainname`, empty without one.
    pub domainname: &'a str,
    /// The container's own addresses, in network order.
    pub addresses: Vec<IpAddr>,
    /// `HostConfig.ExtraHosts`: `name:address`, where the address may be `host-gateway`.
    pub extra_hosts: &'a [String],
    /// What `host-gateway` means (`--host-gateway-ip`, else the default bridge's gateway).
    pub host_gateway: Vec<IpAddr>,
    /// Entries of links (`link::host_names`).
    pub links: Vec<HostsEntry>,
    /// Whether the container has IPv6 loopback names.
    pub ipv6: bool,
}

/// The file's text for containers with a network of their own (bridge, none).
pub fn generate(_request: &HostsRequest<'_>) -> String {
    String::new()
}

/// The file's text with `--network host`: the host's own file and the extra hosts.
pub fn generate_for_host_network(host_file: &str, _request: &HostsRequest<'_>) -> String {
    host_file.to_owned()
}
