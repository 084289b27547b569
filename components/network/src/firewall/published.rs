//! Published ports as elements of the table's maps.

use std::net::{IpAddr, SocketAddr};

use netlink::nft::set::{Value, Values};
use netlink::nft::{DataType, Element, Set, Transaction};

use super::ruleset::FAMILY;
use crate::port::Protocol;

/// One translation of a host port to a container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translation {
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address; unspecified for all.
    pub address: IpAddr,
    /// The host's port.
    pub port: u16,
    /// Where to.
    pub target: SocketAddr,
}

/// Ports of one IPv4 address of the host.
pub(super) const ADDRESS_V4: &str = "published-address-4";
/// Ports of all IPv4 addresses of the host.
pub(super) const ANY_V4: &str = "published-4";
/// Ports of one IPv6 address of the host.
pub(super) const ADDRESS_V6: &str = "published-address-6";
/// Ports of all IPv6 addresses of the host.
pub(super) const ANY_V6: &str = "published-6";
const NAMES: [&str; 4] = [ADDRESS_V4, ANY_V4, ADDRESS_V6, ANY_V6];

use DataType::{InetProtocol, InetService, Ipv4Address, Ipv6Address};

/// The maps, empty.
pub(super) fn add_maps(transaction: &mut Transaction, table: &str) {
    let to_v4 = Values::Data(&[Ipv4Address, InetService]);
    let to_v6 = Values::Data(&[Ipv6Address, InetService]);
    let sets = [
        Set { name: ADDRESS_V4, key: &[Ipv4Address, InetProtocol, InetService], values: to_v4 },
        Set { name: ANY_V4, key: &[InetProtocol, InetService], values: to_v4 },
        Set { name: ADDRESS_V6, key: &[Ipv6Address, InetProtocol, InetService], values: to_v6 },
        Set { name: ANY_V6, key: &[InetProtocol, InetService], values: to_v6 },
    ];
    for set in &sets {
        transaction.add_set(FAMILY, table, set);
    }
}

/// Which map a translation belongs to.
fn map_of(translation: &Translation) -> &'static str {
    match (translation.address.is_ipv4(), translation.address.is_unspecified()) {
        (true, true) => ANY_V4,
        (true, false) => ADDRESS_V4,
        (false, true) => ANY_V6,
        (false, false) => ADDRESS_V6,
    }
}

fn push_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
    }
}

fn push_port(bytes: &mut Vec<u8>, port: u16) {
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
}

fn element(translation: &Translation) -> Element {
    let mut key = Vec::with_capacity(24);
    if !translation.address.is_unspecified() {
        push_address(&mut key, translation.address);
    }
    key.extend_from_slice(&[translation.protocol.number(), 0, 0, 0]);
    push_port(&mut key, translation.port);
    let mut data = Vec::with_capacity(20);
    push_address(&mut data, translation.target.ip());
    push_port(&mut data, translation.target.port());
    Element { key, value: Value::Data(data) }
}

fn by_map<'a>(
    list: impl IntoIterator<Item = &'a Translation> + Clone,
) -> impl Iterator<Item = (&'static str, Vec<Element>)> {
    NAMES.into_iter().map(move |name| {
        let of_map = list.clone().into_iter().filter(|translation| map_of(translation) == name);
        (name, of_map.map(element).collect())
    })
}

pub(super) fn add<'a>(
    transaction: &mut Transaction,
    table: &str,
    list: impl IntoIterator<Item = &'a Translation> + Clone,
) {
    for (map, elements) in by_map(list) {
        transaction.add_elements(FAMILY, table, map, &elements);
    }
}

pub(super) fn delete<'a>(
    transaction: &mut Transaction,
    table: &str,
    list: impl IntoIterator<Item = &'a Translation> + Clone,
) {
    for (map, elements) in by_map(list) {
        transaction.delete_elements(FAMILY, table, map, &elements);
    }
}

/// How many elements each map has to have.
pub(super) fn counts<'a>(
    list: impl IntoIterator<Item = &'a Translation> + Clone,
) -> impl Iterator<Item = (&'static str, usize)> {
    by_map(list).map(|(name, elements)| (name, elements.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_keys_are_padded_to_four_bytes() {
        let translation = |address: &str, target: &str| Translation {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            port: 8080,
            target: target.parse().unwrap(),
        };
        let any = element(&translation("0.0.0.0", "172.17.0.2:80"));
        assert_eq!(any.key, [6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(any.value, Value::Data(vec![172, 17, 0, 2, 0, 80, 0, 0]));
        let one = element(&translation("127.0.0.1", "172.17.0.2:80"));
        assert_eq!(one.key, [127, 0, 0, 1, 6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(element(&translation("::1", "[fd00::2]:80")).key.len(), 24);
        assert_eq!(map_of(&translation("::", "[fd00::2]:80")), ANY_V6);
    }
}
