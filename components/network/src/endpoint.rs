//! The connection of one sandbox to one network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{ContainerId, EndpointId, NetworkId};
use serde::{Deserialize, Serialize};

use crate::port::{PublishRequest, PublishedPort};

/// A hardware address, shown as `02:42:ac:11:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

/// A text is no hardware address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid MAC address: {0}")]
pub struct ParseMacError(pub String);

impl model::Kinded for ParseMacError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

impl MacAddress {
    /// Docker's address for an endpoint: `02:42:` and the four bytes of its IPv4 address.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl std::fmt::Display for MacAddress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl std::str::FromStr for MacAddress {
    type Err = ParseMacError;

    /// Six two-digit groups separated by `:` or `-`.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let bad = || ParseMacError(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0u8; 6];
        let mut groups = text.split(separator);
        for byte in &mut bytes {
            let group = groups.next().filter(|group| group.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(group, 16).map_err(|_| bad())?;
        }
        if groups.next().is_some() { Err(bad()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = ParseMacError;

    fn try_from(text: String) -> Result<Self, ParseMacError> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

/// A wish to connect a sandbox to a network.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    /// Name, id or unique id prefix of the network; `default` means the default bridge.
    pub network: String,
    /// Whose endpoint it is.
    pub container: ContainerId,
    /// The container's name without slash; error texts and network inspect show it.
    pub container_name: String,
    /// A wanted address (user-defined networks only).
    pub ipv4: Option<Ipv4Addr>,
    /// A wanted IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// A wanted hardware address.
    pub mac: Option<MacAddress>,
    /// Ports to publish.
    pub publish: Vec<PublishRequest>,
    /// `eth0` in the container unless another index is wanted (further networks: 1, 2, ...).
    pub interface_index: u32,
}

/// An endpoint of a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `EndpointID`.
    pub id: EndpointId,
    /// Which network.
    pub network: NetworkId,
    /// That network's name.
    pub network_name: String,
    /// Whose.
    pub container: ContainerId,
    /// The container's name at attach time.
    pub container_name: String,
    /// `eth0`.
    pub interface: String,
    /// The other end in the host's namespace; empty without one.
    pub host_interface: String,
    /// Hardware address; absent for host and none.
    pub mac: Option<MacAddress>,
    /// `IPAddress`; absent for host and none.
    pub ipv4: Option<Ipv4Addr>,
    /// `IPPrefixLen`.
    pub ipv4_prefix: u8,
    /// `Gateway`.
    pub gateway: Option<IpAddr>,
    /// `GlobalIPv6Address`.
    pub ipv6: Option<Ipv6Addr>,
    /// `GlobalIPv6PrefixLen`.
    pub ipv6_prefix: u8,
    /// `IPv6Gateway`.
    pub gateway_v6: Option<IpAddr>,
    /// What is published, in Docker's order (IPv4 before IPv6 of the same port).
    pub ports: Vec<PublishedPort>,
}
