//! The network phase of a start: a sandbox, its endpoints, what `inspect` shows of them.

use std::os::fd::OwnedFd;

use ::container::record::PortBinding;
use ::container::{ContainerRecord, NetworkAttachment, NetworkSettings};
use network::{AttachRequest, Endpoint, PublishRequest};

use super::settings::{EndpointSettings, NetworkMode, Settings};
use super::{events, lookup, port_spec};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// A connected network stack; dropped before [`Joined::done`], it is disconnected again.
pub(super) struct Joined<'e> {
    inner: &'e Inner,
    pub(super) namespace: Option<OwnedFd>,
    pub(super) endpoints: Vec<Endpoint>,
    finished: bool,
}

impl<'e> Joined<'e> {
    pub(super) fn new(inner: &'e Inner, record: &ContainerRecord, settings: &Settings) -> Result<Self> {
        let mut joined = Self { inner, namespace: None, endpoints: Vec::new(), finished: false };
        match &settings.network {
            NetworkMode::Container(other) => {
                let donor = lookup::donor(inner, other, "network")?;
                let pid = donor.record().lifecycle.state.pid();
                let path = format!("/proc/{pid}/ns/net");
                let file = std::fs::File::open(&path).doing(|| format!("opening {path}"))?;
                joined.namespace = Some(file.into());
            }
            NetworkMode::Host => joined.attach(None, record, settings, "host", 0)?,
            NetworkMode::None => {
                let sandbox = inner.networks.take_bare_sandbox().map_err(Error::from_kinded)?;
                joined.attach(Some(sandbox), record, settings, "none", 0)?;
            }
            NetworkMode::Default => {
                let plain = settings.endpoints.values().all(|wish| *wish == EndpointSettings::default());
                let sandbox =
                    if plain { inner.networks.take_sandbox() } else { inner.networks.take_bare_sandbox() };
                joined.attach(Some(sandbox.map_err(Error::from_kinded)?), record, settings, "bridge", 0)?;
            }
            NetworkMode::Named(name) => {
                inner.networks.find(name).map_err(Error::from_kinded)?;
                let sandbox = inner.networks.take_bare_sandbox().map_err(Error::from_kinded)?;
                joined.attach(Some(sandbox), record, settings, name, 0)?;
            }
        }
        Ok(joined)
    }

    fn attach(
        &mut self,
        sandbox: Option<network::Sandbox>,
        record: &ContainerRecord,
        settings: &Settings,
        primary: &str,
        first: u32,
    ) -> Result<()> {
        if let Some(sandbox) = &sandbox {
            self.namespace =
                Some(sandbox.duplicate_namespace().doing(|| "keeping the network namespace".to_owned())?);
        }
        let publish = if matches!(settings.network, NetworkMode::Host | NetworkMode::None) {
            Vec::new()
        } else {
            publish_requests(settings)?
        };
        let others = settings.endpoints.keys().map(String::as_str).filter(|name| *name != primary);
        for (index, name) in (first..).zip(std::iter::once(primary).chain(others)) {
            let request = attach_request(record, settings.endpoints.get(name), name, index)?;
            let request = AttachRequest {
                publish: if index == first { publish.clone() } else { Vec::new() },
                ..request
            };
            let endpoint =
                self.inner.networks.attach(sandbox.as_ref(), request).map_err(Error::from_kinded)?;
            events::network(self.inner, &endpoint, "connect");
            self.endpoints.push(endpoint);
        }
        Ok(())
    }

    /// What `inspect` shows while it runs.
    pub(super) fn settings(&self, record: &ContainerRecord, settings: &Settings) -> NetworkSettings {
        let mut shown = record.network.clone();
        // The sandbox has no name on the host; Docker's clients only show these two.
        let sandbox = model::id::random_hex();
        shown.sandbox_key = format!("{}/netns/{}", self.inner.layout.exec_root().display(), &sandbox[..12]);
        shown.sandbox_id = sandbox;
        if matches!(settings.network, NetworkMode::Container(_)) {
            shown.sandbox_id.clear();
            shown.sandbox_key.clear();
        }
        for endpoint in &self.endpoints {
            let name = shown_network_name(&shown, endpoint);
            fill_attachment(shown.networks.entry(name).or_default(), endpoint);
        }
        shown.ports = shown_ports(settings, &self.endpoints);
        shown
    }

    pub(super) fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for endpoint in &self.endpoints {
            self.inner.networks.release(endpoint);
            events::network(self.inner, endpoint, "disconnect");
        }
    }
}

/// The key under which the record lists a network: what the user called it.
fn shown_network_name(shown: &NetworkSettings, endpoint: &Endpoint) -> String {
    let by_id = shown.networks.keys().find(|key| endpoint.network.as_str().starts_with(key.as_str()));
    match by_id {
        Some(key) if !shown.networks.contains_key(&endpoint.network_name) => key.clone(),
        _ => endpoint.network_name.clone(),
    }
}

pub(crate) fn fill_attachment(shown: &mut NetworkAttachment, endpoint: &Endpoint) {
    let text =
        |address: Option<std::net::IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    shown.network_id = endpoint.network.to_string();
    shown.endpoint_id = endpoint.id.to_string();
    shown.gateway = text(endpoint.gateway);
    shown.ip_address = text(endpoint.ipv4.map(std::net::IpAddr::V4));
    shown.ip_prefix_len = endpoint.ipv4_prefix;
    shown.ipv6_gateway = text(endpoint.gateway_v6);
    shown.global_ipv6_address = text(endpoint.ipv6.map(std::net::IpAddr::V6));
    shown.global_ipv6_prefix_len = endpoint.ipv6_prefix;
    shown.mac_address = endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default();
}

fn shown_ports(
    settings: &Settings,
    endpoints: &[Endpoint],
) -> std::collections::BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut ports = std::collections::BTreeMap::new();
    if matches!(settings.network, NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_)) {
        return ports;
    }
    for (port, protocol) in &settings.exposed {
        ports.insert(format!("{port}/{protocol}"), None);
    }
    for published in endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let key = format!("{}/{}", published.container_port, published.protocol.name());
        let binding = PortBinding {
            host_ip: published.host_ip.to_string(),
            host_port: published.host_port.to_string(),
        };
        ports.entry(key).or_insert(None).get_or_insert_default().push(binding);
    }
    ports
}

pub(crate) fn attach_request(
    record: &ContainerRecord,
    wish: Option<&EndpointSettings>,
    name: &str,
    index: u32,
) -> Result<AttachRequest> {
    let wish = wish.cloned().unwrap_or_default();
    let invalid = |what: &str, text: &str| Error::invalid(format!("invalid {what}: {text}"));
    let optional = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(AttachRequest {
        network: name.to_owned(),
        container: record.id.clone(),
        container_name: record.name.clone(),
        ipv4: optional(&wish.ipv4)
            .map(|text| text.parse().map_err(|_| invalid("IPv4 address", &text)))
            .transpose()?,
        ipv6: optional(&wish.ipv6)
            .map(|text| text.parse().map_err(|_| invalid("IPv6 address", &text)))
            .transpose()?,
        mac: optional(&wish.mac).map(|text| text.parse().map_err(Error::from_kinded)).transpose()?,
        publish: Vec::new(),
        interface_index: index,
    })
}

fn publish_requests(settings: &Settings) -> Result<Vec<PublishRequest>> {
    let mut requests = Vec::new();
    for port in &settings.ports {
        let protocol = network::Protocol::from_name(&port.protocol)
            .ok_or_else(|| Error::invalid(format!("invalid transport protocol: {}", port.protocol)))?;
        let host_ip = match port.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?),
        };
        requests.push(PublishRequest {
            container_port: port.container_port,
            protocol,
            host_ip,
            host_ports: port_spec::parse_host_range(&port.host_port)?,
        });
    }
    if settings.publish_all {
        for (container_port, protocol) in &settings.exposed {
            let Some(protocol) = network::Protocol::from_name(protocol) else { continue };
            let held = requests
                .iter()
                .any(|request| request.container_port == *container_port && request.protocol == protocol);
            if !held {
                let container_port = *container_port;
                requests.push(PublishRequest { container_port, protocol, host_ip: None, host_ports: None });
            }
        }
    }
    requests.sort_by_key(|request| (request.container_port, request.protocol));
    Ok(requests)
}
