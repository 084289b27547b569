//! The networks and ports of a `create` request, checked.

use std::collections::BTreeMap;

use api::container::CreateRequest;

use super::port_spec;
use super::settings::{EndpointSettings, NetworkMode, PortRequest};
use super::validate::{Checked, refuse};
use crate::Result;

pub(super) fn check_endpoints(request: &CreateRequest) -> Result<BTreeMap<String, EndpointSettings>> {
    let mut endpoints = BTreeMap::new();
    let documents = request.networking_config.endpoints_config.iter().flatten();
    for (name, document) in documents {
        let settings = document.as_ref().map(endpoint_settings).unwrap_or_default();
        check_endpoint(name, &settings)?;
        endpoints.insert(name.clone(), settings);
    }
    let mac = &request.config.mac_address;
    if !mac.is_empty() {
        let name = request.host_config.network_mode.clone();
        if !is_mac(mac) {
            return refuse(format!("invalid config for network {name}: invalid MAC address {mac}"));
        }
        if !name.starts_with("container:") {
            endpoints.entry(name).or_default().mac.clone_from(mac);
        }
    }
    Ok(endpoints)
}

/// The wishes of an endpoint's document.
pub fn endpoint_settings(document: &api::network::EndpointSettings) -> EndpointSettings {
    let ipam = document.ipam_config.clone().unwrap_or_default();
    EndpointSettings {
        ipv4: ipam.ipv4_address,
        ipv6: ipam.ipv6_address,
        mac: document.mac_address.clone(),
        aliases: document.aliases.clone().unwrap_or_default(),
    }
}

fn is_mac(text: &str) -> bool {
    text.parse::<network::endpoint::MacAddress>().is_ok()
}

/// Checks the wishes for one endpoint; all faults are listed at once, as Docker does.
pub fn check_endpoint(name: &str, wish: &EndpointSettings) -> Result<()> {
    let prefix = format!("invalid config for network {name}: ");
    if !wish.mac.is_empty() && !is_mac(&wish.mac) {
        return refuse(format!("{prefix}invalid MAC address {}", wish.mac));
    }
    let user_defined = !matches!(name, "bridge" | "host" | "none" | "default");
    let mut faults = Vec::new();
    let wants_address = !wish.ipv4.is_empty() || !wish.ipv6.is_empty();
    if !user_defined && wants_address {
        faults.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    if !user_defined && !wish.aliases.is_empty() {
        faults.push(
            "network-scoped alias is supported only for containers in user defined networks".to_owned(),
        );
    }
    for (family, text, valid) in [
        ("IPv4", &wish.ipv4, wish.ipv4.parse::<std::net::Ipv4Addr>().is_ok()),
        ("IPv6", &wish.ipv6, wish.ipv6.parse::<std::net::Ipv6Addr>().is_ok()),
    ] {
        if !text.is_empty() && !valid {
            faults.push(format!("invalid {family} address: {text}"));
        }
        if !text.is_empty() && !user_defined {
            faults.push(format!("no configured subnet or ip-range contain the IP address {text}"));
        }
    }
    match faults.as_slice() {
        [] => Ok(()),
        [one] => refuse(format!("{prefix}invalid endpoint settings:\n{one}")),
        many => {
            let lines: Vec<String> = many.iter().map(|fault| format!("* {fault}")).collect();
            refuse(format!("{prefix}invalid endpoint settings:\n{}", lines.join("\n")))
        }
    }
}

pub(super) fn check_ports(request: &CreateRequest, checked: &mut Checked) -> Result<()> {
    let host = &request.host_config;
    for (key, bindings) in host.port_bindings.iter().flatten() {
        let (container_port, protocol) = port_spec::parse_key(key)?;
        let empty = vec![api::container::PortBinding::default()];
        for binding in bindings.as_ref().filter(|list| !list.is_empty()).unwrap_or(&empty) {
            port_spec::parse_host_range(&binding.host_port)?;
            checked.settings.ports.push(PortRequest {
                container_port,
                protocol: protocol.clone(),
                host_ip: binding.host_ip.clone(),
                host_port: binding.host_port.clone(),
            });
        }
    }
    if checked.settings.network == NetworkMode::Host && !checked.settings.ports.is_empty() {
        checked.warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    Ok(())
}
