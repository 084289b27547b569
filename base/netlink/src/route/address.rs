//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr};

use super::{address_of, family, octets};
use crate::message::{Attributes, CREATE, EXCLUSIVE, Message, read_u32};

const NEW: u16 = 20;
const DELETE: u16 = 21;
const GET: u16 = 22;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const NO_DUPLICATE_DETECTION: u8 = 2;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// `struct ifaddrmsg`.
fn message(kind: u16, flags: u16, link: u32, address: IpAddr, prefix: u8, address_flags: u8) -> Message {
    let mut bytes = [family(address), prefix, address_flags, 0, 0, 0, 0, 0];
    if let Some(slot) = bytes.get_mut(4..) {
        slot.copy_from_slice(&link.to_ne_bytes());
    }
    let mut message = Message::new(kind, flags).fixed(&bytes);
    message.bytes(LOCAL, &octets(address)).bytes(ADDRESS, &octets(address));
    message
}

/// Gives an interface an address, with the range's last address as broadcast (IPv4), or usable at once (IPv6).
pub fn add(link: u32, address: IpAddr, prefix: u8) -> Message {
    let flags = if address.is_ipv6() { NO_DUPLICATE_DETECTION } else { 0 };
    let mut message = message(NEW, CREATE | EXCLUSIVE, link, address, prefix, flags);
    if let IpAddr::V4(address) = address {
        let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        message.bytes(BROADCAST, &Ipv4Addr::from(u32::from(address) | hosts).octets());
    }
    message
}

/// Takes an address away.
pub fn delete(link: u32, address: IpAddr, prefix: u8) -> Message {
    message(DELETE, 0, link, address, prefix, 0)
}

pub(super) fn get_all() -> Message {
    Message::new(GET, 0).fixed(&[0; 8])
}

pub(super) fn parse(body: &[u8]) -> Option<Address> {
    let attributes = Attributes::new(body.get(8..)?);
    let address = attributes.get(LOCAL).or_else(|| attributes.get(ADDRESS))?;
    Some(Address { link: read_u32(body, 4)?, address: address_of(address)?, prefix: *body.get(1)? })
}
