//! Disconnecting: ports, rules and addresses are free again at once; the veth dies later with its namespace.

use std::collections::BTreeSet;

use model::ContainerId;

use crate::addressing::give_addresses_back;
use crate::manager::LiveEndpoint;
use crate::{Endpoint, NetworkManager};

impl NetworkManager {
    /// Forgets an endpoint: ports, rules and address are free again. The veth dies with its namespace.
    /// Releasing twice is no error.
    pub fn release(&self, endpoint: &Endpoint) {
        let live = self.lock().endpoints.remove(&endpoint.id);
        if let Some(live) = live {
            self.forget(live);
        }
    }

    fn forget(&self, live: LiveEndpoint) {
        let endpoint = live.endpoint.clone();
        if !endpoint.ports.is_empty() {
            self.firewall.withdraw(&endpoint.id);
        }
        // Sockets are closed before the table says that their ports are free.
        drop(live);
        let mut state = self.lock();
        for port in &endpoint.ports {
            state.ports.give_back(port.host_ip, port.protocol, port.host_port);
        }
        if let Some(network) = state.networks.get_mut(&endpoint.network) {
            give_addresses_back(network, &endpoint);
        }
        drop(state);
        self.files.remove_endpoint(&endpoint.id);
    }

    /// Releases all endpoints of a container; gives them back (for `network disconnect` events).
    pub fn release_container(&self, container: &ContainerId) -> Vec<Endpoint> {
        let endpoints = self.endpoints_of_container(container);
        endpoints.iter().for_each(|endpoint| self.release(endpoint));
        endpoints
    }

    /// Keeps the endpoints of these containers and releases all others; called once after start, when the engine knows
    /// which containers still run.
    pub fn retain(&self, living: &[ContainerId]) {
        let living: BTreeSet<&ContainerId> = living.iter().collect();
        let dead: Vec<Endpoint> = self
            .lock()
            .endpoints
            .values()
            .map(|live| &live.endpoint)
            .filter(|endpoint| !living.contains(&endpoint.container))
            .cloned()
            .collect();
        dead.iter().for_each(|endpoint| self.release(endpoint));
    }

    /// Unplugs an endpoint from a running container (`network disconnect`): the interface goes, then as [`Self::release`].
    pub fn disconnect(&self, endpoint: &Endpoint) {
        if !endpoint.host_interface.is_empty() {
            let mut host = self.host();
            if let Ok(Some(found)) = host.link_by_name(&endpoint.host_interface) {
                // Gone already when the container ended meanwhile.
                let _ = host.execute(&[netlink::route::link::delete(found.index)]);
            }
        }
        self.release(endpoint);
    }
}
