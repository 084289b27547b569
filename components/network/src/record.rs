//! What is kept about a network, and its subnets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Labels, NetworkId, Timestamp};
use serde::{Deserialize, Serialize};

/// An address range in CIDR form; host bits are kept as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    /// The address as written.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// A text is no `address/prefix`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid CIDR address: {0}")]
pub struct ParseSubnetError(pub String);

impl model::Kinded for ParseSubnetError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

impl std::str::FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let bad = || ParseSubnetError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if prefix > if address.is_ipv4() { 32 } else { 128 } {
            Err(bad())
        } else {
            Ok(Self { address, prefix })
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = ParseSubnetError;

    fn try_from(text: String) -> Result<Self, ParseSubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix)
    }
}

impl Subnet {
    fn shift(self) -> u32 {
        u32::from(if self.address.is_ipv4() { 32 } else { 128 } - self.prefix)
    }

    /// The first address, all host bits zero.
    pub fn network(self) -> IpAddr {
        self.at(0)
    }

    /// The address with the given host part.
    pub fn at(self, host: u128) -> IpAddr {
        let shift = self.shift();
        match self.address {
            IpAddr::V4(address) => {
                let base = u32::from(address).checked_shr(shift).and_then(|top| top.checked_shl(shift));
                IpAddr::V4((base.unwrap_or(0) | u32::try_from(host).unwrap_or(0)).into())
            }
            IpAddr::V6(address) => {
                let base = u128::from(address).checked_shr(shift).and_then(|top| top.checked_shl(shift));
                IpAddr::V6((base.unwrap_or(0) | host).into())
            }
        }
    }

    /// The last address, all host bits one.
    pub fn last(self) -> IpAddr {
        self.at(self.size().saturating_sub(1))
    }

    /// How many addresses the range has (saturating).
    pub fn size(self) -> u128 {
        1u128.checked_shl(self.shift()).unwrap_or(u128::MAX)
    }

    /// Whether the address is in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self { address, prefix: self.prefix }.network() == self.network()
    }

    /// Whether the ranges share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }
}

/// One entry of a network's `IPAM.Config`, fields absent where Docker leaves them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// `Subnet`.
    pub subnet: Subnet,
    /// `IPRange`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Subnet>,
    /// `Gateway` as shown: absent where a person gave a subnet without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The bridge's own address, which is the gateway in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_address: Option<IpAddr>,
    /// `AuxiliaryAddresses`: name to an address that is never handed out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// What makes a network work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge with address translation.
    Bridge,
    /// The host's own network.
    Host,
    /// Nothing but a loopback interface.
    Null,
}

impl Driver {
    /// Docker's name of the driver.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// A network as it is stored, listed and inspected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network {
    /// Stable id, also of the predefined networks.
    pub id: NetworkId,
    /// `bridge`, `host`, `none` or what the user chose.
    pub name: String,
    /// When the record was made.
    pub created: Timestamp,
    /// What makes it work.
    pub driver: Driver,
    /// Name of its bridge; empty for host and none.
    #[serde(default)]
    pub interface: String,
    /// Whether its subnets were given by a person, so that containers may choose addresses.
    #[serde(default)]
    pub chosen_subnets: bool,
    /// Made by the engine, not removable.
    pub predefined: bool,
    /// `EnableIPv6`.
    pub ipv6: bool,
    /// No way out of it.
    pub internal: bool,
    /// Swarm's flag, kept and shown.
    pub attachable: bool,
    /// `IPAM.Config`; empty for host and none, where Docker shows null.
    pub pools: Vec<PoolRecord>,
    /// `IPAM.Options`, null when `None`.
    #[serde(default)]
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// `Options` as Docker shows them (`com.docker.network.bridge.name`, ...).
    pub options: BTreeMap<String, String>,
    /// User labels.
    pub labels: Labels,
}

/// A wish for a new network.
#[derive(Debug, Clone, Default)]
pub struct CreateNetwork {
    /// Its name.
    pub name: String,
    /// Docker's driver name; empty means bridge.
    pub driver: String,
    /// Subnets, ranges, gateways; empty means one from the default pools.
    pub pools: Vec<CreatePool>,
    /// `IPAM.Options`.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// `EnableIPv6`.
    pub ipv6: bool,
    /// No way out of it.
    pub internal: bool,
    /// Swarm's flag.
    pub attachable: bool,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// User labels.
    pub labels: Labels,
}

/// One pool of a wish for a new network.
#[derive(Debug, Clone, Default)]
pub struct CreatePool {
    /// The subnet; one from the default pools when absent.
    pub subnet: Option<Subnet>,
    /// Hand out addresses of this part only.
    pub range: Option<Subnet>,
    /// The bridge's address; the first of the range when absent.
    pub gateway: Option<IpAddr>,
    /// Never hand these out.
    pub auxiliary: BTreeMap<String, IpAddr>,
}
