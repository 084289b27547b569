//! Host ports: which are free, and sockets that keep other programs from taking them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::port::Protocol;

/// Why a host port can't be had; the texts are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PortError {
    /// Another container has it.
    #[error("Bind for {}:{port} failed: port is already allocated", show(*address))]
    Allocated {
        /// The host address.
        address: IpAddr,
        /// The host port.
        port: u16,
    },
    /// No ephemeral port is left.
    #[error("all ports are allocated")]
    AllAllocated,
    /// The machine refuses: another program has the port, or the address is none of its own.
    #[error("Error starting userland proxy: listen {network} {}:{port}: bind: {}", show(*address), linux::errno::text(*errno))]
    Refused {
        /// `tcp4`, `udp6`, ...
        network: &'static str,
        /// The host address.
        address: IpAddr,
        /// The host port.
        port: u16,
        /// Why.
        errno: Errno,
    },
}

impl model::Kinded for PortError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Internal
    }
}

fn show(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn network_name(protocol: Protocol, address: IpAddr) -> &'static str {
    match (protocol, address.is_ipv4()) {
        (Protocol::Tcp, true) => "tcp4",
        (Protocol::Tcp, false) => "tcp6",
        (Protocol::Udp, true) => "udp4",
        (Protocol::Udp, false) => "udp6",
        (Protocol::Sctp, true) => "sctp4",
        (Protocol::Sctp, false) => "sctp6",
    }
}

const EPHEMERAL_ATTEMPTS: usize = 10;

/// The host ports given to containers, by address and protocol.
#[derive(Debug)]
pub(crate) struct PortTable {
    taken: BTreeMap<(IpAddr, Protocol), BTreeSet<u16>>,
    last_ephemeral: BTreeMap<(IpAddr, Protocol), u16>,
    ephemeral: (u16, u16),
}

impl PortTable {
    /// A table that takes ephemeral ports from the kernel's range.
    pub(crate) fn new() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        let parsed = range.as_deref().and_then(|text| {
            let mut numbers = text.split_whitespace().map(str::parse::<u16>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        Self {
            taken: BTreeMap::new(),
            last_ephemeral: BTreeMap::new(),
            ephemeral: parsed.unwrap_or((49153, 65535)),
        }
    }

    fn is_free(&self, addresses: &[IpAddr], protocol: Protocol, port: u16) -> bool {
        addresses
            .iter()
            .all(|address| !self.taken.get(&(*address, protocol)).is_some_and(|ports| ports.contains(&port)))
    }

    /// Marks a port as given, at a restart.
    pub(crate) fn mark(&mut self, address: IpAddr, protocol: Protocol, port: u16) {
        self.taken.entry((address, protocol)).or_default().insert(port);
    }

    /// Gives a port back.
    pub(crate) fn give_back(&mut self, address: IpAddr, protocol: Protocol, port: u16) {
        if let Some(ports) = self.taken.get_mut(&(address, protocol)) {
            ports.remove(&port);
        }
    }

    /// Takes the same port on all of the addresses, reserving each with a socket of the kind `listen` asks for.
    ///
    /// # Errors
    /// When no port of the range can be had; the reason of the last attempt.
    pub(crate) fn take(
        &mut self,
        addresses: &[IpAddr],
        protocol: Protocol,
        range: Option<(u16, u16)>,
        listen: &dyn Fn(IpAddr) -> bool,
    ) -> Result<(u16, Vec<Option<OwnedFd>>), PortError> {
        // Docker's way to say "any".
        let range = range.filter(|range| *range != (0, 0));
        let first = addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut failure = match range {
            Some((from, to)) if from == to => PortError::Allocated { address: first, port: from },
            _ => PortError::AllAllocated,
        };
        let mut attempts = 0;
        for port in self.candidates(first, protocol, range) {
            if !self.is_free(addresses, protocol, port) {
                continue;
            }
            match bind_all(addresses, protocol, port, listen) {
                Ok(sockets) => {
                    self.note(addresses, protocol, port, range.is_none());
                    return Ok((port, sockets));
                }
                Err(error) => failure = error,
            }
            attempts += 1;
            if attempts >= EPHEMERAL_ATTEMPTS {
                break;
            }
        }
        Err(failure)
    }

    fn note(&mut self, addresses: &[IpAddr], protocol: Protocol, port: u16, ephemeral: bool) {
        for address in addresses {
            self.mark(*address, protocol, port);
        }
        if let (true, Some(first)) = (ephemeral, addresses.first()) {
            self.last_ephemeral.insert((*first, protocol), port);
        }
    }

    /// Ports worth trying, in order: the range from its start, or ephemeral ones after the last one given.
    fn candidates(
        &self,
        address: IpAddr,
        protocol: Protocol,
        range: Option<(u16, u16)>,
    ) -> Box<dyn Iterator<Item = u16>> {
        match range {
            Some((from, to)) => Box::new(from..=to),
            None => {
                let (from, to) = self.ephemeral;
                let last = self.last_ephemeral.get(&(address, protocol)).copied();
                let next =
                    last.and_then(|port| port.checked_add(1)).filter(|port| (from..=to).contains(port));
                let next = next.unwrap_or(from);
                Box::new((next..=to).chain(from..next))
            }
        }
    }
}

fn bind_all(
    addresses: &[IpAddr],
    protocol: Protocol,
    port: u16,
    listen: &dyn Fn(IpAddr) -> bool,
) -> Result<Vec<Option<OwnedFd>>, PortError> {
    let bind = |address: &IpAddr| reserve(*address, protocol, port, listen(*address));
    addresses.iter().map(bind).collect()
}

/// A socket bound to the port, so that other programs cannot have it. Only a forwarder's socket listens: a
/// connection that reached a reserved port although the kernel should have translated it is refused, not left hanging.
/// `None` where the kernel lacks the protocol.
///
/// # Errors
/// When the port can't be bound.
pub(crate) fn reserve(
    address: IpAddr,
    protocol: Protocol,
    port: u16,
    listen: bool,
) -> Result<Option<OwnedFd>, PortError> {
    let refused =
        |errno| PortError::Refused { network: network_name(protocol, address), address, port, errno };
    match bind(address, protocol, port, listen) {
        // Connections of an earlier owner that are still winding down are no reason to refuse.
        Err(Errno::ADDRINUSE) if protocol == Protocol::Tcp && !listen => {
            bind(address, protocol, port, true).map(Some).map_err(refused)
        }
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT | Errno::AFNOSUPPORT) => Ok(None),
        other => other.map(Some).map_err(refused),
    }
}

fn bind(address: IpAddr, protocol: Protocol, port: u16, listen: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if listen && protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(address, port))?;
    if listen && protocol != Protocol::Udp {
        rustix::net::listen(&socket, 128)?;
    }
    Ok(socket)
}

/// Whether IPv6 sockets can be bound at all on this machine.
pub(crate) fn ipv6_available() -> bool {
    bind(IpAddr::V6(Ipv6Addr::LOCALHOST), Protocol::Udp, 0, false).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED)];

    fn never(_: IpAddr) -> bool {
        false
    }

    #[test]
    fn refusals_have_dockers_wording() {
        let holder = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let mut table = PortTable::new();
        let error = table.take(&ANY, Protocol::Tcp, Some((port, port)), &never).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "Error starting userland proxy: listen tcp4 0.0.0.0:{port}: bind: address already in use"
            )
        );
        table.mark(ANY[0], Protocol::Udp, 7);
        let error = table.take(&ANY, Protocol::Udp, Some((7, 7)), &never).unwrap_err();
        assert_eq!(error.to_string(), "Bind for 0.0.0.0:7 failed: port is already allocated");
        let foreign = ["10.9.9.9".parse().unwrap()];
        let error = table.take(&foreign, Protocol::Tcp, Some((9, 9)), &never).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Error starting userland proxy: listen tcp4 10.9.9.9:9: bind: cannot assign requested address"
        );
    }

    #[test]
    fn a_range_gives_its_first_free_port() {
        let holder = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let mut table = PortTable::new();
        let (given, sockets) = table.take(&ANY, Protocol::Tcp, Some((port, port + 5)), &never).unwrap();
        assert!(given > port && sockets.len() == 1);
        assert!(std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, given)).is_err());
        let (second, _keep) = table.take(&ANY, Protocol::Tcp, Some((port, port + 5)), &never).unwrap();
        assert!(second > given);
    }

    #[test]
    fn ephemeral_ports_go_up() {
        let mut table = PortTable::new();
        let (first, _a) = table.take(&ANY, Protocol::Udp, None, &never).unwrap();
        table.give_back(ANY[0], Protocol::Udp, first);
        let (second, _b) = table.take(&ANY, Protocol::Udp, None, &never).unwrap();
        assert!(second > first);
    }
}
