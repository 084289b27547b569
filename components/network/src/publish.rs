//! Host ports of an endpoint: chosen, reserved, translated by the kernel or carried by a forwarder.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use crate::firewall::published::Translation;
use crate::forwarder::Forwarder;
use crate::manager::{LiveEndpoint, State};
use crate::open::OPTION_BINDING;
use crate::port_reservation::PortError;
use crate::{AttachRequest, Endpoint, NetworkError, NetworkManager, PublishRequest, PublishedPort};

/// A published port with the socket that keeps it.
#[derive(Debug)]
pub(crate) struct KeptPort {
    pub port: PublishedPort,
    pub socket: Option<OwnedFd>,
}

impl NetworkManager {
    /// Takes the host ports asked for; those taken before a failure are left in the list, for the caller to give back.
    pub(crate) fn reserve_ports(
        &self,
        endpoint: &mut Endpoint,
        ports: &mut Vec<KeptPort>,
        request: &AttachRequest,
    ) -> Result<(), NetworkError> {
        if request.publish.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        let binding = state
            .networks
            .get(&endpoint.network)
            .and_then(|live| live.record.options.get(OPTION_BINDING))
            .and_then(|text| text.parse().ok())
            .unwrap_or(self.config.default_binding);
        for wanted in in_docker_order(&request.publish) {
            let addresses = self.host_addresses(wanted, binding, endpoint.ipv6.is_some());
            let kept = self.reserve_port(&mut state, endpoint, wanted, &addresses);
            ports.extend(kept.map_err(|source| NetworkError::Publish {
                name: endpoint.container_name.clone(),
                id: endpoint.id.clone(),
                source,
            })?);
        }
        ports.sort_by_key(|kept| (kept.port.container_port, kept.port.protocol));
        endpoint.ports = ports.iter().map(|kept| kept.port.clone()).collect();
        Ok(())
    }

    /// No address given means all of both families, as far as the machine and the container have them.
    fn host_addresses(&self, wanted: &PublishRequest, binding: IpAddr, container_v6: bool) -> Vec<IpAddr> {
        match wanted.host_ip {
            Some(address) => vec![address],
            None if binding != IpAddr::V4(Ipv4Addr::UNSPECIFIED) => vec![binding],
            None if self.ipv6_host && (container_v6 || self.config.userland_proxy) => {
                vec![binding, IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
            }
            None => vec![binding],
        }
    }

    fn reserve_port(
        &self,
        state: &mut State,
        endpoint: &Endpoint,
        wanted: &PublishRequest,
        addresses: &[IpAddr],
    ) -> Result<Vec<KeptPort>, PortError> {
        let listen = |address: IpAddr| self.needs_forwarder(endpoint, address);
        let (host_port, sockets) =
            state.ports.take(addresses, wanted.protocol, wanted.host_ports, &listen)?;
        let port = |host_ip: &IpAddr| PublishedPort {
            container_port: wanted.container_port,
            protocol: wanted.protocol,
            host_ip: *host_ip,
            host_port,
        };
        Ok(addresses.iter().map(port).zip(sockets).map(|(port, socket)| KeptPort { port, socket }).collect())
    }

    /// Whether the kernel translates that address's traffic to the container. It never does for `::1`: such packets
    /// cannot leave by another interface.
    fn translates(&self, endpoint: &Endpoint, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.config.firewall,
            IpAddr::V6(address) => {
                endpoint.ipv6.is_some()
                    && self.config.firewall
                    && self.config.firewall_v6
                    && address != Ipv6Addr::LOCALHOST
            }
        }
    }

    /// Whether traffic to that address needs a forwarder, all of it or its part that goes to `::1`.
    pub(crate) fn needs_forwarder(&self, endpoint: &Endpoint, address: IpAddr) -> bool {
        let any_v6 = address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && self.config.userland_proxy;
        any_v6 || !self.translates(endpoint, address)
    }

    pub(crate) fn translations(&self, endpoint: &Endpoint) -> Vec<Translation> {
        let translated = |port: &&PublishedPort| self.translates(endpoint, port.host_ip);
        let one = |port: &PublishedPort| {
            let target = target_of(endpoint, port.host_ip.is_ipv6())?;
            Some(Translation {
                protocol: port.protocol,
                address: port.host_ip,
                port: port.host_port,
                target: SocketAddr::new(target, port.container_port),
            })
        };
        endpoint.ports.iter().filter(translated).filter_map(one).collect()
    }
}

/// Chosen host ports first, so that an ephemeral one does not take them; higher container ports first, as Docker
/// gives them out.
fn in_docker_order(publish: &[PublishRequest]) -> Vec<&PublishRequest> {
    let mut ordered: Vec<&PublishRequest> = publish.iter().collect();
    ordered
        .sort_by_key(|wanted| (wanted.host_ports.is_none(), Reverse(wanted.container_port), wanted.protocol));
    ordered
}

/// The container's address a host address of that family leads to.
fn target_of(endpoint: &Endpoint, ipv6: bool) -> Option<IpAddr> {
    let v4 = endpoint.ipv4.map(IpAddr::V4);
    if ipv6 { endpoint.ipv6.map(IpAddr::V6).or(v4) } else { v4 }
}

/// Forwarders where they are needed; plain reservations elsewhere.
pub(crate) fn live_endpoint(
    endpoint: Endpoint,
    ports: Vec<KeptPort>,
    forwards: impl Fn(&Endpoint, IpAddr) -> bool,
) -> LiveEndpoint {
    let (mut reserved, mut forwarders) = (Vec::new(), Vec::new());
    for kept in ports {
        let Some(socket) = kept.socket else { continue };
        match target_of(&endpoint, kept.port.host_ip.is_ipv6()) {
            Some(target) if forwards(&endpoint, kept.port.host_ip) => {
                let target = SocketAddr::new(target, kept.port.container_port);
                // Without a thread the port stays reserved and its connections wait.
                forwarders.extend(Forwarder::start(socket, kept.port.protocol, target).ok());
            }
            _ => reserved.push(socket),
        }
    }
    LiveEndpoint { endpoint, _reserved: reserved, _forwarders: forwarders }
}
