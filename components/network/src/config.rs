//! What the engine's configuration says about networks, already parsed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::record::Subnet;

/// One entry of `default-address-pools`: new networks get subnets of `size` bits out of `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    /// The range that is divided.
    pub base: Subnet,
    /// Prefix length of each network made from it.
    pub size: u8,
}

/// An immutable snapshot of the network part of the engine's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine's data directory; network records are kept below it.
    pub data_root: PathBuf,
    /// Directory for what lives as long as the machine's uptime; `network/` is made below it.
    pub exec_root: PathBuf,
    /// The default bridge's interface (`--bridge`); the engine makes it when it is its own.
    /// `None` (`--bridge none`) means no default bridge network.
    pub bridge: Option<String>,
    /// `--bip`: the bridge's own address and prefix length; the first free default pool otherwise.
    pub bip: Option<(Ipv4Addr, u8)>,
    /// `--bip6`.
    pub bip6: Option<(Ipv6Addr, u8)>,
    /// `--fixed-cidr`: containers get addresses out of this part of the subnet.
    pub fixed_cidr: Option<Subnet>,
    /// `--fixed-cidr-v6`: the default bridge's IPv6 subnet.
    pub fixed_cidr_v6: Option<Subnet>,
    /// `--default-gateway`: another gateway than the bridge's address.
    pub default_gateway: Option<Ipv4Addr>,
    /// `--default-gateway-v6`.
    pub default_gateway_v6: Option<Ipv6Addr>,
    /// `--mtu` in bytes.
    pub mtu: u32,
    /// `--icc`: whether containers of the default bridge may talk to each other.
    pub inter_container: bool,
    /// `--ip-masq`.
    pub masquerade: bool,
    /// `--ip-forward`.
    pub ip_forward: bool,
    /// `--iptables`: whether any firewall rule is made (nftables, here) for IPv4.
    pub firewall: bool,
    /// `--ip6tables`: the same for IPv6.
    pub firewall_v6: bool,
    /// `--userland-proxy`: whether a published port also listens where the kernel can't translate (`[::]` to IPv4).
    pub userland_proxy: bool,
    /// `--ipv6` for the default bridge.
    pub ipv6: bool,
    /// `--default-address-pools`; empty means Docker's.
    pub default_address_pools: Vec<AddressPool>,
    /// `--ip`: the host address ports are published on when none is named (0.0.0.0).
    pub default_binding: IpAddr,
    /// How many connected sandboxes are kept ready.
    pub ready_sandboxes: usize,
}

impl Config {
    /// Docker's defaults, with wharf's bridge name.
    pub fn new(data_root: PathBuf, exec_root: PathBuf) -> Self {
        Self {
            data_root,
            exec_root,
            bridge: Some("wharf0".to_owned()),
            bip: None,
            bip6: None,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            default_gateway: None,
            default_gateway_v6: None,
            mtu: 1500,
            inter_container: true,
            masquerade: true,
            ip_forward: true,
            firewall: true,
            firewall_v6: true,
            userland_proxy: true,
            ipv6: false,
            default_address_pools: Vec::new(),
            default_binding: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ready_sandboxes: 4,
        }
    }
}
