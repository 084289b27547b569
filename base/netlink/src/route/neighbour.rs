//! Entries of the neighbour tables (ARP, neighbour discovery).

use std::net::IpAddr;

use super::{family, octets};
use crate::message::{CREATE, Message, REPLACE};

const NEW: u16 = 28;
const DELETE: u16 = 29;
const DESTINATION: u16 = 1;
const HARDWARE: u16 = 2;
const PERMANENT: u16 = 0x80;

/// `struct ndmsg`.
fn message(kind: u16, flags: u16, link: u32, address: IpAddr) -> Message {
    let mut bytes = Vec::with_capacity(12);
    bytes.extend_from_slice(&[family(address), 0, 0, 0]);
    bytes.extend_from_slice(&link.to_ne_bytes());
    bytes.extend_from_slice(&PERMANENT.to_ne_bytes());
    bytes.extend_from_slice(&[0, 0]);
    let mut message = Message::new(kind, flags).fixed(&bytes);
    message.bytes(DESTINATION, &octets(address));
    message
}

/// Fixes the hardware address of a neighbour.
pub fn set_permanent(link: u32, address: IpAddr, hardware: [u8; 6]) -> Message {
    let mut message = message(NEW, CREATE | REPLACE, link, address);
    message.bytes(HARDWARE, &hardware);
    message
}

/// Forgets a neighbour.
pub fn delete(link: u32, address: IpAddr) -> Message {
    message(DELETE, 0, link, address)
}
