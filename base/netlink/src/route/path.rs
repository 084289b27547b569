//! Routes.

use std::net::IpAddr;

use super::{address_of, family, octets};
use crate::message::{Attributes, CREATE, EXCLUSIVE, Message};

const NEW: u16 = 24;
const DELETE: u16 = 25;
const GET: u16 = 26;
const DESTINATION: u16 = 1;
const INTERFACE: u16 = 4;
const GATEWAY: u16 = 5;
const TABLE: u16 = 15;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Destination and prefix length; `None` for the default route.
    pub destination: Option<(IpAddr, u8)>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The interface it leaves by.
    pub link: Option<u32>,
    /// Table number (254 is main).
    pub table: u32,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Kernel's route type: 1 unicast, 2 local, 3 broadcast, ...
    pub kind: u8,
}

/// `struct rtmsg`.
fn message(kind: u16, flags: u16, ip_family: u8, prefix: u8, scope: u8) -> Message {
    let bytes = [ip_family, prefix, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, scope, TYPE_UNICAST, 0, 0, 0, 0];
    Message::new(kind, flags).fixed(&bytes)
}

/// A default route over a gateway.
pub fn add_default(link: u32, gateway: IpAddr) -> Message {
    let mut message = message(NEW, CREATE | EXCLUSIVE, family(gateway), 0, SCOPE_UNIVERSE);
    message.bytes(GATEWAY, &octets(gateway)).u32(INTERFACE, link);
    message
}

/// A route to a range that is reached without a gateway.
pub fn add_direct(link: u32, destination: IpAddr, prefix: u8) -> Message {
    let mut message = message(NEW, CREATE | EXCLUSIVE, family(destination), prefix, SCOPE_LINK);
    message.bytes(DESTINATION, &octets(destination)).u32(INTERFACE, link);
    message
}

/// Takes the default route over an interface away.
pub fn delete_default(link: u32, gateway: IpAddr) -> Message {
    let mut message = message(DELETE, 0, family(gateway), 0, SCOPE_UNIVERSE);
    message.bytes(GATEWAY, &octets(gateway)).u32(INTERFACE, link);
    message
}

pub(super) fn get_all() -> Message {
    Message::new(GET, 0).fixed(&[0; 12])
}

pub(super) fn parse(body: &[u8]) -> Option<Path> {
    let prefix = *body.get(1)?;
    let attributes = Attributes::new(body.get(12..)?);
    Some(Path {
        destination: attributes.get(DESTINATION).and_then(address_of).map(|address| (address, prefix)),
        gateway: attributes.get(GATEWAY).and_then(address_of),
        link: attributes.u32(INTERFACE),
        table: attributes.u32(TABLE).unwrap_or_else(|| body.get(4).copied().map_or(0, u32::from)),
        ipv6: *body.first()? == super::FAMILY_V6,
        kind: *body.get(7)?,
    })
}
