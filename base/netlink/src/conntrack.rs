//! Deletion of flows the kernel tracks.

use std::net::IpAddr;

use crate::message::{Attributes, Message};
use crate::{Error, Protocol, Socket};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;
const IDENTITY: u16 = 12;
const NESTED: u16 = 1 << 15;

/// One tracked flow.
#[derive(Debug, Clone)]
pub struct FlowFound {
    family: u8,
    original: Vec<u8>,
    identity: Option<u32>,
    /// 6 tcp, 17 udp, ...
    pub protocol: u8,
    /// Where it was sent to.
    pub destination: IpAddr,
    /// The port it was sent to.
    pub destination_port: u16,
    /// Who answers it (differs from the destination when that was translated).
    pub answered_by: IpAddr,
}

/// A socket to the tracked flows of the namespace of the thread that opened it.
#[derive(Debug)]
pub struct ConntrackSocket(Socket);

impl ConntrackSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> Result<Self, Error> {
        Socket::open(Protocol::Netfilter).map(Self)
    }

    /// All flows of one family.
    ///
    /// # Errors
    /// A refusal.
    pub fn flows(&mut self, ipv6: bool) -> Result<Vec<FlowFound>, Error> {
        let request = Message::new(GET, 0).fixed(&[if ipv6 { 10 } else { 2 }, 0, 0, 0]);
        self.0.dump(&request, |received| parse(received.body))
    }

    /// Deletes the flows the test chooses; how many there were.
    ///
    /// # Errors
    /// A refusal other than "gone meanwhile".
    pub fn delete_where(&mut self, ipv6: bool, choose: impl Fn(&FlowFound) -> bool) -> Result<usize, Error> {
        let chosen: Vec<FlowFound> = self.flows(ipv6)?.into_iter().filter(|flow| choose(flow)).collect();
        for flow in &chosen {
            let mut message = Message::new(DELETE, 0).fixed(&[flow.family, 0, 0, 0]);
            message.bytes(ORIGINAL | NESTED, &flow.original);
            if let Some(identity) = flow.identity {
                message.u32(IDENTITY, identity);
            }
            match self.0.execute(&[message]) {
                Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => {}
                other => other?,
            }
        }
        Ok(chosen.len())
    }
}

fn address(tuple: Attributes<'_>, v4: u16, v6: u16) -> Option<IpAddr> {
    let addresses = tuple.nested(TUPLE_ADDRESSES)?;
    if let Some(bytes) = addresses.get(v4) {
        return <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    }
    <[u8; 16]>::try_from(addresses.get(v6)?).ok().map(IpAddr::from)
}

fn parse(body: &[u8]) -> Option<FlowFound> {
    let attributes = Attributes::new(body.get(4..)?);
    let original = attributes.nested(ORIGINAL)?;
    let protocol = original.nested(TUPLE_PROTOCOL)?;
    let port = protocol.get(DESTINATION_PORT).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
    Some(FlowFound {
        family: *body.first()?,
        original: attributes.get(ORIGINAL)?.to_vec(),
        identity: attributes.u32(IDENTITY),
        protocol: protocol.u8(PROTOCOL_NUMBER)?,
        destination: address(original, V4_DESTINATION, V6_DESTINATION)?,
        destination_port: port.map_or(0, u16::from_be_bytes),
        answered_by: address(attributes.nested(REPLY)?, V4_SOURCE, V6_SOURCE)?,
    })
}
