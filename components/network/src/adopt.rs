//! What a predecessor's containers have is taken over: addresses, ports, translations.

use std::net::IpAddr;

use crate::manager::State;
use crate::publish::{KeptPort, live_endpoint};
use crate::{Endpoint, NetworkError, NetworkManager, PublishedPort};

impl NetworkManager {
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
