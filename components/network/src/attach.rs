//! Connecting a sandbox to a network: addresses, then ports, then the interface, then rules, then the record.
//!
//! Each phase can be undone by [`Attaching::abandon`], which is what a failed one leads to.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use model::{EndpointId, NetworkId};
use netlink::Message;
use netlink::route::{address, link, path};

use crate::address_pool::AllocateError;
use crate::endpoint::MacAddress;
use crate::firewall::published::Translation;
use crate::forwarder::Forwarder;
use crate::manager::{LiveEndpoint, LiveNetwork, State, kernel};
use crate::open::{OPTION_BINDING, plug_settings};
use crate::port_reservation::PortError;
use crate::record::Driver;
use crate::sandbox::{PlugSettings, turn_ipv6_off_in};
use crate::{AttachRequest, Endpoint, NetworkError, NetworkManager, PublishRequest, PublishedPort, Sandbox};

/// A published port with the socket that keeps it.
#[derive(Debug)]
pub(crate) struct KeptPort {
    pub port: PublishedPort,
    pub socket: Option<OwnedFd>,
}

struct Attaching {
    endpoint: Endpoint,
    plug: PlugSettings,
    ports: Vec<KeptPort>,
}

impl NetworkManager {
    /// Connects a sandbox (from [`Self::take_sandbox`], or bare) to a network and publishes its ports.
    ///
    /// For `host` and `none` an endpoint without addresses is recorded and the sandbox may be `None`.
    ///
    /// # Errors
    /// No address left, port taken (with Docker's wording), network gone.
    pub fn attach(
        &self,
        sandbox: Option<&Sandbox>,
        request: AttachRequest,
    ) -> Result<Endpoint, NetworkError> {
        let mut attaching = self.reserve_addresses(&request)?;
        match self.build(&mut attaching, sandbox, &request) {
            Ok(()) => self.record(attaching),
            Err(error) => {
                self.abandon(&attaching);
                Err(error)
            }
        }
    }

    fn build(
        &self,
        attaching: &mut Attaching,
        sandbox: Option<&Sandbox>,
        request: &AttachRequest,
    ) -> Result<(), NetworkError> {
        if attaching.plug.bridge == 0 {
            return Ok(());
        }
        let sandbox = sandbox.ok_or_else(|| NetworkError::NoSandbox(request.network.clone()))?;
        self.reserve_ports(attaching, request)?;
        self.connect(attaching, sandbox)?;
        let translations = self.translations(&attaching.endpoint);
        self.firewall
            .publish(&attaching.endpoint.id, translations)
            .map_err(kernel("publish ports in the firewall"))
    }

    fn reserve_addresses(&self, request: &AttachRequest) -> Result<Attaching, NetworkError> {
        let mut state = self.lock();
        let id = state.find(&request.network)?.record.id.clone();
        state.refuse_second(&id, request)?;
        let live =
            state.networks.get_mut(&id).ok_or_else(|| NetworkError::NotFound(request.network.clone()))?;
        let mut endpoint = empty_endpoint(live, request);
        if live.record.driver == Driver::Bridge {
            check_wanted(live, request)?;
            endpoint.interface = format!("eth{}", request.interface_index);
            give_v4(live, request, &mut endpoint)?;
            if let Err(error) = give_v6(live, request, &mut endpoint) {
                give_addresses_back(live, &endpoint);
                return Err(error);
            }
        }
        let mut plug = plug_settings(live);
        plug.ipv6 = endpoint.ipv6.is_some();
        Ok(Attaching { endpoint, plug, ports: Vec::new() })
    }

    fn reserve_ports(&self, attaching: &mut Attaching, request: &AttachRequest) -> Result<(), NetworkError> {
        let mut state = self.lock();
        let binding = state
            .networks
            .get(&attaching.endpoint.network)
            .and_then(|live| live.record.options.get(OPTION_BINDING))
            .and_then(|text| text.parse().ok())
            .unwrap_or(self.config.default_binding);
        for wanted in in_docker_order(&request.publish) {
            let addresses = self.host_addresses(wanted, binding, attaching.endpoint.ipv6.is_some());
            let kept = self.reserve_port(&mut state, &attaching.endpoint, wanted, &addresses);
            attaching.ports.extend(kept.map_err(|source| NetworkError::Publish {
                name: attaching.endpoint.container_name.clone(),
                id: attaching.endpoint.id.clone(),
                source,
            })?);
        }
        attaching.ports.sort_by_key(|kept| (kept.port.container_port, kept.port.protocol));
        attaching.endpoint.ports = attaching.ports.iter().map(|kept| kept.port.clone()).collect();
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
    fn needs_forwarder(&self, endpoint: &Endpoint, address: IpAddr) -> bool {
        let any_v6 = address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && self.config.userland_proxy;
        any_v6 || !self.translates(endpoint, address)
    }

    fn translations(&self, endpoint: &Endpoint) -> Vec<Translation> {
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

    fn connect(&self, attaching: &mut Attaching, sandbox: &Sandbox) -> Result<(), NetworkError> {
        let interface = attaching.endpoint.interface.clone();
        let plug = match sandbox.take_ready(attaching.plug.bridge, &interface) {
            Some(plug) => plug,
            None => {
                let plug = sandbox.plug_in(&mut self.host(), &attaching.plug, &interface)?;
                if !attaching.plug.ipv6 {
                    turn_ipv6_off_in(sandbox.namespace(), &interface);
                }
                plug
            }
        };
        attaching.endpoint.host_interface = plug.host_interface;
        let changes = interface_changes(&attaching.endpoint, plug.index);
        sandbox.routes().execute(&changes).map_err(kernel("give the container's interface its addresses"))
    }

    fn record(&self, attaching: Attaching) -> Result<Endpoint, NetworkError> {
        if let Err(error) = self.files.write_endpoint(&attaching.endpoint) {
            self.abandon(&attaching);
            return Err(error.into());
        }
        let endpoint = attaching.endpoint.clone();
        let live = live_endpoint(attaching.endpoint, attaching.ports, |endpoint, address| {
            self.needs_forwarder(endpoint, address)
        });
        self.lock().endpoints.insert(endpoint.id.clone(), live);
        Ok(endpoint)
    }

    fn abandon(&self, attaching: &Attaching) {
        self.firewall.withdraw(&attaching.endpoint.id);
        let mut state = self.lock();
        for kept in &attaching.ports {
            state.ports.give_back(kept.port.host_ip, kept.port.protocol, kept.port.host_port);
        }
        if let Some(live) = state.networks.get_mut(&attaching.endpoint.network) {
            give_addresses_back(live, &attaching.endpoint);
        }
    }

    /// Takes over what a predecessor's containers have: addresses, ports, translations.
    pub(crate) fn adopt_endpoints(&self) -> Result<(), NetworkError> {
        for endpoint in self.files.endpoints()? {
            self.firewall.want_translations(endpoint.id.clone(), self.translations(&endpoint));
            let mut state = self.lock();
            if let Some(live) = state.networks.get_mut(&endpoint.network) {
                let addresses = [endpoint.ipv4.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6)];
                for (pool, address) in [&mut live.pool_v4, &mut live.pool_v6].into_iter().zip(addresses) {
                    if let (Some(pool), Some(address)) = (pool, address) {
                        // A subnet changed by new configuration: the container keeps what it has.
                        let _ = pool.take(address);
                    }
                }
            }
            let ports =
                endpoint.ports.iter().map(|port| self.keep_again(&mut state, &endpoint, port)).collect();
            let live =
                live_endpoint(endpoint, ports, |endpoint, address| self.needs_forwarder(endpoint, address));
            state.endpoints.insert(live.endpoint.id.clone(), live);
        }
        Ok(())
    }

    fn keep_again(&self, state: &mut State, endpoint: &Endpoint, port: &PublishedPort) -> KeptPort {
        state.ports.mark(port.host_ip, port.protocol, port.host_port);
        let listen = self.needs_forwarder(endpoint, port.host_ip);
        // Somebody may have taken the port while no engine ran; the translation in the kernel still wins.
        let socket = crate::port_reservation::reserve(port.host_ip, port.protocol, port.host_port, listen)
            .ok()
            .flatten();
        KeptPort { port: port.clone(), socket }
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

impl State {
    /// A container has at most one endpoint on a network.
    fn refuse_second(&self, network: &NetworkId, request: &AttachRequest) -> Result<(), NetworkError> {
        let same = |live: &&LiveEndpoint| {
            live.endpoint.network == *network && live.endpoint.container == request.container
        };
        match self.endpoints.values().find(same) {
            Some(live) => Err(NetworkError::EndpointExists {
                name: request.container_name.clone(),
                network: live.endpoint.network_name.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Only people who chose a network's subnets may choose addresses in them.
fn check_wanted(live: &LiveNetwork, request: &AttachRequest) -> Result<(), NetworkError> {
    let refused = |reason: String| {
        let network = live.record.name.clone();
        Err(NetworkError::EndpointSettings { network, reason })
    };
    let wanted = [request.ipv4.map(IpAddr::V4), request.ipv6.map(IpAddr::V6)];
    for address in wanted.into_iter().flatten() {
        if live.is_default_bridge() {
            return refused(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        }
        if !live.record.chosen_subnets {
            return refused(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
                    .to_owned(),
            );
        }
        if !live.record.pools.iter().any(|pool| pool.subnet.contains(address)) {
            return refused(AllocateError::Outside { address }.to_string());
        }
    }
    Ok(())
}

pub(crate) fn give_addresses_back(live: &mut LiveNetwork, endpoint: &Endpoint) {
    if let (Some(pool), Some(address)) = (&mut live.pool_v4, endpoint.ipv4) {
        pool.give_back(address.into());
    }
    if let (Some(pool), Some(address)) = (&mut live.pool_v6, endpoint.ipv6) {
        pool.give_back(address.into());
    }
}

fn empty_endpoint(live: &LiveNetwork, request: &AttachRequest) -> Endpoint {
    Endpoint {
        id: EndpointId::generate(),
        network: live.record.id.clone(),
        network_name: live.record.name.clone(),
        container: request.container.clone(),
        container_name: request.container_name.clone(),
        interface: String::new(),
        host_interface: String::new(),
        mac: None,
        ipv4: None,
        ipv4_prefix: 0,
        gateway: None,
        ipv6: None,
        ipv6_prefix: 0,
        gateway_v6: None,
        ports: Vec::new(),
    }
}

fn give_v4(
    live: &mut LiveNetwork,
    request: &AttachRequest,
    endpoint: &mut Endpoint,
) -> Result<(), NetworkError> {
    let gateway = gateway_of(live, true);
    let Some(pool) = &mut live.pool_v4 else { return Ok(()) };
    let taken = match request.ipv4 {
        Some(wanted) => pool.take(wanted.into()).map(|()| Some(wanted.into()))?,
        None => pool.take_next(),
    };
    let Some(IpAddr::V4(address)) = taken else { return Err(exhausted(live, false)) };
    endpoint.ipv4 = Some(address);
    endpoint.ipv4_prefix = pool.prefix();
    endpoint.gateway = gateway;
    endpoint.mac = Some(request.mac.unwrap_or_else(|| MacAddress::of(address)));
    Ok(())
}

fn exhausted(live: &LiveNetwork, ipv6: bool) -> NetworkError {
    let (network, id) = (live.record.name.clone(), live.record.id.to_string());
    AllocateError::Exhausted { ipv6, network, id }.into()
}

/// An internal network has no way out, so its containers get no gateway.
fn gateway_of(live: &LiveNetwork, v4: bool) -> Option<IpAddr> {
    let pool = live.record.pools.iter().find(|pool| pool.subnet.address.is_ipv4() == v4)?;
    let other = pool.auxiliary.get(if v4 { "DefaultGatewayIPv4" } else { "DefaultGatewayIPv6" });
    if live.record.internal { None } else { other.copied().or(pool.bridge_address) }
}

fn give_v6(
    live: &mut LiveNetwork,
    request: &AttachRequest,
    endpoint: &mut Endpoint,
) -> Result<(), NetworkError> {
    let gateway = gateway_of(live, false);
    let default_bridge = live.is_default_bridge();
    let subnet = live.record.pools.iter().map(|pool| pool.subnet).find(|subnet| subnet.address.is_ipv6());
    let (Some(pool), Some(subnet)) = (&mut live.pool_v6, subnet) else { return Ok(()) };
    let from_mac = endpoint.mac.filter(|_| default_bridge && subnet.prefix <= 80).map(|mac| {
        let [a, b, c, d, e, f] = mac.0;
        subnet.at(u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    });
    let taken = match request.ipv6.map(IpAddr::V6).or(from_mac) {
        Some(wanted) => pool.take(wanted).map(|()| Some(wanted))?,
        None => pool.take_next(),
    };
    let Some(IpAddr::V6(address)) = taken else { return Err(exhausted(live, true)) };
    endpoint.ipv6 = Some(address);
    endpoint.ipv6_prefix = pool.prefix();
    endpoint.gateway_v6 = gateway;
    Ok(())
}

fn interface_changes(endpoint: &Endpoint, index: u32) -> Vec<Message> {
    let mut changes = Vec::with_capacity(6);
    changes.extend(endpoint.mac.map(|mac| link::set_address(index, mac.0)));
    changes.push(link::up(index));
    changes.extend(endpoint.ipv4.map(|own| address::add(index, own.into(), endpoint.ipv4_prefix)));
    changes.extend(endpoint.ipv6.map(|own| address::add(index, own.into(), endpoint.ipv6_prefix)));
    // Only the first interface leads outside; the addresses of others reach their own subnets.
    if endpoint.interface == "eth0" {
        changes.extend(endpoint.gateway.map(|gateway| path::add_default(index, gateway)));
        changes.extend(endpoint.gateway_v6.map(|gateway| path::add_default(index, gateway)));
    }
    changes
}

/// The container's address a host address of that family leads to.
fn target_of(endpoint: &Endpoint, ipv6: bool) -> Option<IpAddr> {
    let v4 = endpoint.ipv4.map(IpAddr::V4);
    if ipv6 { endpoint.ipv6.map(IpAddr::V6).or(v4) } else { v4 }
}

/// Forwarders where they are needed; plain reservations elsewhere.
fn live_endpoint(
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
