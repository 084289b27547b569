//! Network interfaces: bridges and veth pairs made, found, changed.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::message::{Attributes, CREATE, EXCLUSIVE, Message, read_i32, read_u32};

const NEW: u16 = 16;
const DELETE: u16 = 17;
const GET: u16 = 18;
const SET: u16 = 19;

const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const PEER: u16 = 5;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const ALIAS: u16 = 20;
const PER_FAMILY: u16 = 26;
const NAMESPACE: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_PORT_KIND: u16 = 4;
const INFO_PORT_DATA: u16 = 5;
const PORT_HAIRPIN: u16 = 4;
const PORT_ISOLATED: u16 = 33;
const VETH_PEER: u16 = 1;
const V6_FAMILY: u16 = 10;
const V6_ADDRESS_MODE: u16 = 8;
const V6_ADDRESS_NONE: u8 = 1;
const UP: u32 = 1;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// `bridge`, `veth`, ...; `None` for hardware and loopback.
    pub kind: Option<String>,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// The other end's number (veth), in the other end's namespace.
    pub peer: Option<u32>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Hardware address.
    pub address: Vec<u8>,
    /// A remark people can give an interface (`ip link set ... alias`).
    pub alias: Option<String>,
}

/// A veth pair to be made: one end here and on a bridge, the other in another namespace, both up.
#[derive(Debug, Clone, Copy)]
pub struct VethRequest<'a> {
    /// Name of the end on this side.
    pub name: &'a str,
    /// Name of the end in the other namespace.
    pub peer_name: &'a str,
    /// The other namespace.
    pub peer_namespace: BorrowedFd<'a>,
    /// Index of the bridge this end is a port of.
    pub master: u32,
    /// Largest packet in bytes.
    pub mtu: u32,
}

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut bytes = [0u8; 16];
    for (slot, value) in bytes.chunks_exact_mut(4).skip(1).zip([index, flags, mask]) {
        slot.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// Makes a bridge, up.
pub fn add_bridge(name: &str, mtu: u32, address: Option<[u8; 6]>) -> Message {
    let mut message = Message::new(NEW, CREATE | EXCLUSIVE).fixed(&header(0, UP, UP));
    message.text(NAME, name).u32(MTU, mtu);
    if let Some(address) = address {
        message.bytes(ADDRESS, &address);
    }
    message.nested(INFO, |info| {
        info.text(INFO_KIND, "bridge");
    });
    message
}

/// Makes a veth pair; the near end stays down until [`quiet`] and [`up_by_name`], so that it never asks for IPv6 addresses.
pub fn add_veth(request: &VethRequest<'_>) -> Message {
    let mut message = Message::new(NEW, CREATE | EXCLUSIVE).fixed(&header(0, 0, 0));
    let namespace = u32::try_from(request.peer_namespace.as_raw_fd()).unwrap_or(u32::MAX);
    message.text(NAME, request.name).u32(MTU, request.mtu).u32(MASTER, request.master);
    message.nested(INFO, |info| {
        info.text(INFO_KIND, "veth").nested(INFO_DATA, |data| {
            data.nested(VETH_PEER, |peer| {
                peer.raw(&header(0, 0, 0));
                peer.text(NAME, request.peer_name).u32(MTU, request.mtu).u32(NAMESPACE, namespace);
            });
        });
    });
    message
}

/// Makes an interface of a kind without settings (`dummy`, `ifb`).
pub fn add_plain(name: &str, kind: &str) -> Message {
    let mut message = Message::new(NEW, CREATE | EXCLUSIVE).fixed(&header(0, UP, UP));
    message.text(NAME, name).nested(INFO, |info| {
        info.text(INFO_KIND, kind);
    });
    message
}

/// Turns automatic IPv6 addresses off (no duplicate detection, no multicast reports).
pub fn quiet(name: &str) -> Message {
    let mut message = Message::new(NEW, 0).fixed(&header(0, 0, 0));
    message.text(NAME, name).nested(PER_FAMILY, |families| {
        families.nested(V6_FAMILY, |v6| {
            v6.u8(V6_ADDRESS_MODE, V6_ADDRESS_NONE);
        });
    });
    message
}

/// Lets a bridge send a port's own frames back to it (a container reaching itself where `br_netfilter` translates).
pub fn hairpin(name: &str) -> Message {
    let mut message = Message::new(NEW, 0).fixed(&header(0, 0, 0));
    message.text(NAME, name).nested(INFO, |info| {
        info.text(INFO_PORT_KIND, "bridge").nested(INFO_PORT_DATA, |data| {
            data.u8(PORT_HAIRPIN, 1);
        });
    });
    message
}

/// Keeps a bridge's port from talking to other isolated ports; the bridge itself stays reachable.
pub fn isolate(name: &str) -> Message {
    let mut message = Message::new(NEW, 0).fixed(&header(0, 0, 0));
    message.text(NAME, name).nested(INFO, |info| {
        info.text(INFO_PORT_KIND, "bridge").nested(INFO_PORT_DATA, |data| {
            data.u8(PORT_ISOLATED, 1);
        });
    });
    message
}

/// Brings an interface up by name.
pub fn up_by_name(name: &str) -> Message {
    let mut message = Message::new(NEW, 0).fixed(&header(0, UP, UP));
    message.text(NAME, name);
    message
}

/// Brings an interface up.
pub fn up(index: u32) -> Message {
    Message::new(SET, 0).fixed(&header(index, UP, UP))
}

/// Brings an interface down.
pub fn down(index: u32) -> Message {
    Message::new(SET, 0).fixed(&header(index, 0, UP))
}

/// Gives an interface a hardware address.
pub fn set_address(index: u32, address: [u8; 6]) -> Message {
    let mut message = Message::new(SET, 0).fixed(&header(index, 0, 0));
    message.bytes(ADDRESS, &address);
    message
}

/// Changes the largest packet size.
pub fn set_mtu(index: u32, mtu: u32) -> Message {
    let mut message = Message::new(SET, 0).fixed(&header(index, 0, 0));
    message.u32(MTU, mtu);
    message
}

/// Gives an interface a new name (while it is down, or on kernels from 6.2).
pub fn rename(index: u32, name: &str) -> Message {
    let mut message = Message::new(SET, 0).fixed(&header(index, 0, 0));
    message.text(NAME, name);
    message
}

/// Gives an interface a remark.
pub fn set_alias(name: &str, alias: &str) -> Message {
    let mut message = Message::new(NEW, 0).fixed(&header(0, 0, 0));
    message.text(NAME, name).bytes(ALIAS, alias.as_bytes());
    message
}

/// Makes an interface a port of a bridge, or of none with 0.
pub fn set_master(index: u32, master: u32) -> Message {
    let mut message = Message::new(SET, 0).fixed(&header(index, 0, 0));
    message.u32(MASTER, master);
    message
}

/// Moves an interface to another namespace.
pub fn move_to_namespace(index: u32, namespace: BorrowedFd<'_>) -> Message {
    let mut message = Message::new(SET, 0).fixed(&header(index, 0, 0));
    message.u32(NAMESPACE, u32::try_from(namespace.as_raw_fd()).unwrap_or(u32::MAX));
    message
}

/// Deletes an interface. For a veth this takes 7 to 25 ms under the kernel's global lock.
pub fn delete(index: u32) -> Message {
    Message::new(DELETE, 0).fixed(&header(index, 0, 0))
}

pub(super) fn get(name: &str) -> Message {
    let mut message = Message::new(GET, 0).fixed(&header(0, 0, 0));
    message.text(NAME, name);
    message
}

pub(super) fn get_all() -> Message {
    Message::new(GET, 0).fixed(&header(0, 0, 0))
}

pub(super) fn parse(body: &[u8]) -> Option<Link> {
    let index = u32::try_from(read_i32(body, 4)?).ok()?;
    let flags = read_u32(body, 8)?;
    let attributes = Attributes::new(body.get(16..)?);
    Some(Link {
        index,
        name: attributes.text(NAME)?.to_owned(),
        up: flags & UP != 0,
        kind: attributes.nested(INFO).and_then(|info| info.text(INFO_KIND)).map(str::to_owned),
        master: attributes.u32(MASTER),
        peer: attributes.u32(PEER),
        mtu: attributes.u32(MTU).unwrap_or(0),
        address: attributes.get(ADDRESS).unwrap_or_default().to_vec(),
        alias: attributes.text(ALIAS).map(str::to_owned),
    })
}
