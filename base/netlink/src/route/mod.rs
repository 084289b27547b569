//! Interfaces, addresses, routes, neighbours and policy rules (rtnetlink).
//!
//! Functions that make a change return a [`Message`](crate::Message), so that several go out in one send.

pub mod address;
pub mod link;
pub mod neighbour;
pub mod path;
pub mod rule;

pub use address::Address;
pub use link::{Link, VethRequest};
pub use path::Path;

use std::net::IpAddr;

use crate::{Error, Message, Protocol, Socket};

const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { FAMILY_V4 } else { FAMILY_V6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A socket to the routing tables of the namespace of the thread that opened it.
#[derive(Debug)]
pub struct RouteSocket(Socket);

impl RouteSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> Result<Self, Error> {
        Socket::open(Protocol::Route).map(Self)
    }

    /// Carries out changes, sent together.
    ///
    /// # Errors
    /// The first refusal.
    pub fn execute(&mut self, messages: &[Message]) -> Result<(), Error> {
        self.0.execute(messages)
    }

    /// The interface of that name, if there is one.
    ///
    /// # Errors
    /// Refusals other than "no such device".
    pub fn link_by_name(&mut self, name: &str) -> Result<Option<Link>, Error> {
        match self.0.get(&link::get(name), |received| link::parse(received.body)) {
            Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(None),
            other => other,
        }
    }

    /// All interfaces.
    ///
    /// # Errors
    /// A refusal.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.0.dump(&link::get_all(), |received| link::parse(received.body))
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// A refusal.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.0.dump(&address::get_all(), |received| address::parse(received.body))
    }

    /// All routes of the main and other tables, both families.
    ///
    /// # Errors
    /// A refusal.
    pub fn routes(&mut self) -> Result<Vec<Path>, Error> {
        self.0.dump(&path::get_all(), |received| path::parse(received.body))
    }

    /// All policy rules of one family.
    ///
    /// # Errors
    /// A refusal.
    pub fn rules(&mut self, ipv6: bool) -> Result<Vec<rule::Rule>, Error> {
        self.0.dump(&rule::get_all(ipv6), |received| rule::parse(received.body))
    }
}
