//! The addresses of an endpoint: wanted ones checked, others given out, all given back.

use std::net::IpAddr;

use crate::address_pool::AllocateError;
use crate::endpoint::MacAddress;
use crate::manager::LiveNetwork;
use crate::{AttachRequest, Endpoint, NetworkError};

/// Only people who chose a network's subnets may choose addresses in them.
pub(crate) fn check_wanted(live: &LiveNetwork, request: &AttachRequest) -> Result<(), NetworkError> {
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

pub(crate) fn give_v4(
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

pub(crate) fn give_v6(
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
