//! Hands out the addresses of one subnet, lowest free one first, as Docker does.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::record::{PoolRecord, Subnet};

/// Why no address was given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AllocateError {
    /// All addresses are taken.
    #[error("no available IPv{} addresses on this network's address pools: {network} ({id})", if *ipv6 { 6 } else { 4 })]
    Exhausted {
        /// Which family.
        ipv6: bool,
        /// The network's name.
        network: String,
        /// The network's id.
        id: String,
    },
    /// The wanted address is taken.
    #[error("Address already in use")]
    Taken,
    /// The wanted address is outside of the subnet.
    #[error("no configured subnet or ip-range contain the IP address {address}")]
    Outside {
        /// The address wanted.
        address: IpAddr,
    },
}

impl model::Kinded for AllocateError {
    fn kind(&self) -> model::ErrorKind {
        match self {
            Self::Exhausted { .. } => model::ErrorKind::Internal,
            Self::Taken => model::ErrorKind::Forbidden,
            Self::Outside { .. } => model::ErrorKind::Invalid,
        }
    }
}

/// The addresses of one subnet.
#[derive(Debug, Clone)]
pub struct AddressPool {
    subnet: Subnet,
    first: u128,
    last: u128,
    taken: BTreeSet<u128>,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

impl AddressPool {
    /// A pool in which only the network's own addresses are taken.
    pub fn new(record: &PoolRecord) -> Self {
        let subnet = record.subnet;
        let range = record.range.unwrap_or(subnet);
        let mut taken = BTreeSet::from([number(subnet.network())]);
        if subnet.address.is_ipv4() && subnet.prefix < 31 {
            taken.insert(number(subnet.last()));
        }
        taken.extend([record.gateway, record.bridge_address].into_iter().flatten().map(number));
        taken.extend(record.auxiliary.values().copied().map(number));
        Self { subnet, first: number(range.network()), last: number(range.last()), taken }
    }

    /// Prefix length of the subnet.
    pub fn prefix(&self) -> u8 {
        self.subnet.prefix
    }

    /// The lowest free address, or `None`.
    pub fn take_next(&mut self) -> Option<IpAddr> {
        let mut candidate = self.first;
        for taken in self.taken.range(self.first..=self.last) {
            if *taken != candidate {
                break;
            }
            candidate = candidate.checked_add(1)?;
        }
        if candidate > self.last {
            return None;
        }
        self.taken.insert(candidate);
        Some(self.address(candidate))
    }

    /// Takes this address.
    ///
    /// # Errors
    /// When it is taken or outside of the subnet.
    pub fn take(&mut self, address: IpAddr) -> Result<(), AllocateError> {
        if !self.subnet.contains(address) {
            return Err(AllocateError::Outside { address });
        }
        if self.taken.insert(number(address)) { Ok(()) } else { Err(AllocateError::Taken) }
    }

    /// Gives an address back.
    pub fn give_back(&mut self, address: IpAddr) {
        self.taken.remove(&number(address));
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.subnet.address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: Option<&str>, gateway: &str) -> AddressPool {
        AddressPool::new(&PoolRecord {
            subnet: subnet.parse().unwrap(),
            range: range.map(|range| range.parse().unwrap()),
            gateway: Some(gateway.parse().unwrap()),
            bridge_address: None,
            auxiliary: [("router".to_owned(), "10.0.0.3".parse().unwrap())].into(),
        })
    }

    #[test]
    fn the_lowest_free_address_comes_first() {
        let mut addresses = pool("10.0.0.0/29", None, "10.0.0.1");
        let mut next = || addresses.take_next().map(|address| address.to_string());
        assert_eq!(next().as_deref(), Some("10.0.0.2"));
        assert_eq!(next().as_deref(), Some("10.0.0.4"));
        assert_eq!(next().as_deref(), Some("10.0.0.5"));
        assert_eq!(next().as_deref(), Some("10.0.0.6"));
        assert_eq!(next(), None);
        addresses.give_back("10.0.0.4".parse().unwrap());
        assert_eq!(addresses.take_next().unwrap().to_string(), "10.0.0.4");
    }

    #[test]
    fn a_wanted_address_is_given_once() {
        let mut addresses = pool("10.0.0.0/24", Some("10.0.0.128/25"), "10.0.0.1");
        let wanted = "10.0.0.7".parse().unwrap();
        assert_eq!(addresses.take(wanted), Ok(()));
        assert_eq!(addresses.take(wanted), Err(AllocateError::Taken));
        let outside = "10.0.1.7".parse().unwrap();
        assert_eq!(addresses.take(outside), Err(AllocateError::Outside { address: outside }));
        assert_eq!(addresses.take_next().unwrap().to_string(), "10.0.0.128");
    }

    #[test]
    fn ipv6_subnets_work_too() {
        let mut addresses = pool("fd00:1::/64", None, "fd00:1::1");
        assert_eq!(addresses.take_next().unwrap().to_string(), "fd00:1::2");
    }
}
