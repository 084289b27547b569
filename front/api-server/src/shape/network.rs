//! Networks by version.

use std::collections::BTreeMap;

use api::ApiVersion;
use api::network::Network;

/// The list: containers are never told; older versions show an empty object in their place.
pub(crate) fn list(networks: Vec<Network>, version: ApiVersion) -> Vec<Network> {
    let shape = |network| {
        let mut network = shape(network, version);
        network.containers = version.below(52).then(BTreeMap::new);
        network.status = None;
        network
    };
    networks.into_iter().map(shape).collect()
}

/// One network.
pub(crate) fn inspect(network: Network, version: ApiVersion) -> Network {
    let mut network = shape(network, version);
    network.containers.get_or_insert_default();
    if version.below(52) {
        network.status = None;
    }
    network
}

fn shape(mut network: Network, version: ApiVersion) -> Network {
    network.enable_ipv4 = version.at_least(48).then(|| network.enable_ipv4.unwrap_or(true));
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_show_only_in_inspect() {
        let network = Network { containers: Some(BTreeMap::new()), ..Network::default() };
        let shown = |minor: u16| list(vec![network.clone()], ApiVersion::new(minor))[0].containers.is_some();
        assert!(shown(51) && !shown(52));
        assert!(inspect(Network::default(), ApiVersion::new(55)).containers.is_some());
        assert_eq!(inspect(network.clone(), ApiVersion::new(47)).enable_ipv4, None);
        assert_eq!(inspect(network, ApiVersion::new(48)).enable_ipv4, Some(true));
    }
}
