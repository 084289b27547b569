//! Networks: list, inspect, create, remove, connect, disconnect, prune.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::network::{
    ConnectRequest, CreateRequest, CreateResponse, DisconnectRequest, EndpointResource, Ipam, IpamConfig,
    Network, PruneResponse,
};
use model::Filters;
use network::record::{CreatePool, Driver};

use crate::engine::Inner;
use crate::event::EventType;
use crate::{Error, Result};

/// Calls about networks.
#[derive(Clone, Copy)]
pub struct Networks<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl Networks<'_> {
    /// The networks that the filters choose, without their containers.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn list(&self, filters: &Filters) -> Result<Vec<Network>> {
        let networks = self.inner.networks.list_filtered(filters).map_err(Error::from_kinded)?;
        Ok(networks
            .iter()
            .map(|network| Network { containers: Some(BTreeMap::new()), ..document(network) })
            .collect())
    }

    /// One network with its containers.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn inspect(&self, reference: &str) -> Result<Network> {
        let network = self.inner.networks.find(reference).map_err(Error::from_kinded)?;
        let endpoints = self.inner.networks.endpoints_of(&network.id);
        let containers =
            endpoints.iter().map(|endpoint| (endpoint.container.to_string(), resource(endpoint)));
        Ok(Network { containers: Some(containers.collect()), ..document(&network) })
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Name or addresses taken, unknown driver.
    pub fn create(&self, request: CreateRequest) -> Result<CreateResponse> {
        let ipam = request.ipam.unwrap_or_default();
        let wish = network::CreateNetwork {
            name: request.name,
            driver: request.driver,
            pools: ipam.config.iter().flatten().map(pool).collect::<Result<_>>()?,
            ipam_options: ipam.options,
            ipv6: request.enable_ipv6.unwrap_or(false),
            internal: request.internal,
            attachable: request.attachable,
            options: request.options.unwrap_or_default(),
            labels: request.labels.unwrap_or_default(),
        };
        let made = self.inner.networks.create(wish).map_err(Error::from_kinded)?;
        event(self.inner, &made, "create", None);
        Ok(CreateResponse { id: made.id.to_string(), warning: String::new() })
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Predefined, in use, not there.
    pub fn remove(&self, reference: &str) -> Result<()> {
        let removed = self.inner.networks.remove(reference).map_err(Error::from_kinded)?;
        event(self.inner, &removed, "destroy", None);
        Ok(())
    }

    /// Connects a container.
    ///
    /// # Errors
    /// When network or container are missing, or the container runs: a running container's network cannot be changed yet.
    pub fn connect(&self, reference: &str, request: &ConnectRequest) -> Result<()> {
        let network = self.inner.networks.find(reference).map_err(Error::from_kinded)?;
        let container = self.inner.find(&request.container)?;
        let _operation = container.operate();
        if container.record().lifecycle.state.has_process() {
            return Err(Error::new(
                model::ErrorKind::NotImplemented,
                "connecting a running container to a network is not supported yet: stop it first",
            ));
        }
        let wish = request
            .endpoint_config
            .as_ref()
            .map(crate::container::validate_endpoint::endpoint_settings)
            .unwrap_or_default();
        crate::container::validate_endpoint::check_endpoint(&network.name, &wish)?;
        let mut settings = crate::container::create_record::settings_of(&container.record())?;
        settings.endpoints.insert(network.name.clone(), wish);
        keep(&container, &settings, |record| {
            record.network.networks.entry(network.name.clone()).or_default();
        })
    }

    /// Disconnects a container.
    ///
    /// # Errors
    /// When network or container are missing, or the container runs.
    pub fn disconnect(&self, reference: &str, request: &DisconnectRequest) -> Result<()> {
        let network = self.inner.networks.find(reference).map_err(Error::from_kinded)?;
        let container = self.inner.find(&request.container)?;
        let _operation = container.operate();
        let record = container.record();
        if record.lifecycle.state.has_process() {
            return Err(Error::new(
                model::ErrorKind::NotImplemented,
                "disconnecting a running container from a network is not supported yet: stop it first",
            ));
        }
        if !record.network.networks.contains_key(&network.name) {
            return Err(Error::forbidden(format!(
                "container {} is not connected to network {}",
                record.id, network.name
            )));
        }
        let mut settings = crate::container::create_record::settings_of(&record)?;
        settings.endpoints.remove(&network.name);
        keep(&container, &settings, |record| {
            record.network.networks.remove(&network.name);
        })
    }

    /// Removes networks nobody uses.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn prune(&self, filters: &Filters) -> Result<PruneResponse> {
        let used: Vec<String> = (self.inner.containers.list().iter())
            .flat_map(|container| container.record().network.networks.keys().cloned().collect::<Vec<_>>())
            .collect();
        let until = crate::container::list::parse_until(filters)?;
        let keep = |network: &network::Network| used.contains(&network.name);
        let removed = self.inner.networks.prune(filters, until, &keep).map_err(Error::from_kinded)?;
        Ok(PruneResponse { networks_deleted: (!removed.is_empty()).then_some(removed) })
    }
}

fn keep(
    container: &::container::Container,
    settings: &crate::container::settings::Settings,
    change: impl FnOnce(&mut ::container::ContainerRecord),
) -> Result<()> {
    let value = crate::container::create_record::document(settings)?;
    container
        .update(|record| {
            record.extra.insert(crate::container::create::SETTINGS.to_owned(), value);
            change(record);
        })
        .map_err(Error::from_kinded)
}

fn event(inner: &Inner, network: &network::Network, action: &str, container: Option<&str>) {
    let mut attributes: BTreeMap<String, String> = network.labels.clone();
    attributes.insert("name".to_owned(), network.name.clone());
    attributes.insert("type".to_owned(), network.driver.name().to_owned());
    if let Some(container) = container {
        attributes.insert("container".to_owned(), container.to_owned());
    }
    inner.events.publish(EventType::Network, action, network.id.as_str(), attributes);
}

fn pool(config: &IpamConfig) -> Result<CreatePool> {
    let subnet =
        |text: &str| (!text.is_empty()).then(|| text.parse().map_err(Error::from_kinded)).transpose();
    let address =
        |text: &str| text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")));
    Ok(CreatePool {
        subnet: subnet(&config.subnet)?,
        range: subnet(&config.ip_range)?,
        gateway: (!config.gateway.is_empty()).then(|| address(&config.gateway)).transpose()?,
        auxiliary: (config.auxiliary_addresses.iter().flatten())
            .map(|(name, text)| address(text).map(|address| (name.clone(), address)))
            .collect::<Result<_>>()?,
    })
}

fn document(network: &network::Network) -> Network {
    let pools: Vec<IpamConfig> = network
        .pools
        .iter()
        .map(|pool| IpamConfig {
            subnet: pool.subnet.to_string(),
            ip_range: pool.range.map(|range| range.to_string()).unwrap_or_default(),
            gateway: pool.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            auxiliary_addresses: (!pool.auxiliary.is_empty()).then(|| {
                pool.auxiliary.iter().map(|(name, address)| (name.clone(), address.to_string())).collect()
            }),
        })
        .collect();
    let without_addresses = matches!(network.driver, Driver::Host | Driver::Null);
    Network {
        name: network.name.clone(),
        id: network.id.to_string(),
        created: network.created.to_string(),
        scope: "local".to_owned(),
        driver: network.driver.name().to_owned(),
        enable_ipv4: Some(true),
        enable_ipv6: network.ipv6,
        ipam: Ipam {
            driver: "default".to_owned(),
            options: network.ipam_options.clone(),
            config: (!without_addresses || !pools.is_empty()).then_some(pools),
        },
        internal: network.internal,
        attachable: network.attachable,
        options: Some(network.options.clone()),
        labels: Some(network.labels.clone()),
        ..Network::default()
    }
}

fn resource(endpoint: &network::Endpoint) -> EndpointResource {
    let with_prefix = |address: Option<String>, prefix: u8| {
        address.map(|address| format!("{address}/{prefix}")).unwrap_or_default()
    };
    EndpointResource {
        name: endpoint.container_name.clone(),
        endpoint_id: endpoint.id.to_string(),
        mac_address: endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ipv4_address: with_prefix(endpoint.ipv4.map(|address| address.to_string()), endpoint.ipv4_prefix),
        ipv6_address: with_prefix(endpoint.ipv6.map(|address| address.to_string()), endpoint.ipv6_prefix),
    }
}
