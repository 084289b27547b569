//! Connecting a sandbox to a network: addresses, then ports, then the interface, then rules, then the record.
//!
//! A failed phase leads to `abandon`, which undoes those before it.

use model::{EndpointId, NetworkId};
use netlink::Message;
use netlink::route::{address, link, path};

use crate::addressing::{check_wanted, give_addresses_back, give_v4, give_v6};
use crate::manager::{LiveEndpoint, LiveNetwork, State, kernel};
use crate::publish::{KeptPort, live_endpoint};
use crate::record::Driver;
use crate::sandbox::{PlugSettings, turn_ipv6_off_in};
use crate::{AttachRequest, Endpoint, NetworkError, NetworkManager, Sandbox};

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
        let built = self.build(&mut attaching, sandbox, &request);
        // Only now, so that making the next sandbox does not hold the kernel's lock this one needs.
        self.pool.refill();
        match built {
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
        self.reserve_ports(&mut attaching.endpoint, &mut attaching.ports, request)?;
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
        let mut plug = live.plug.clone();
        plug.ipv6 = endpoint.ipv6.is_some();
        Ok(Attaching { endpoint, plug, ports: Vec::new() })
    }

    fn connect(&self, attaching: &mut Attaching, sandbox: &Sandbox) -> Result<(), NetworkError> {
        let interface = attaching.endpoint.interface.clone();
        let ready = sandbox.take_ready(attaching.plug.bridge, &interface);
        let was_ready = ready.is_some();
        let plug = match ready {
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
        let mut changes = interface_changes(&attaching.endpoint, plug.index);
        if !was_ready {
            changes.insert(0, link::up(plug.index));
        }
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

fn interface_changes(endpoint: &Endpoint, index: u32) -> Vec<Message> {
    let mut changes = Vec::with_capacity(6);
    changes.extend(endpoint.mac.map(|mac| link::set_address(index, mac.0)));
    changes.extend(endpoint.ipv4.map(|own| address::add(index, own.into(), endpoint.ipv4_prefix)));
    changes.extend(endpoint.ipv6.map(|own| address::add(index, own.into(), endpoint.ipv6_prefix)));
    // Only the first interface leads outside; the addresses of others reach their own subnets.
    if endpoint.interface == "eth0" {
        changes.extend(endpoint.gateway.map(|gateway| path::add_default(index, gateway)));
        changes.extend(endpoint.gateway_v6.map(|gateway| path::add_default(index, gateway)));
    }
    changes
}
