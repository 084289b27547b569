//! The engine itself: info, version, disk use, reload.

mod check;
pub(crate) mod disk_usage;
mod info;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Inner;
use crate::event::EventType;
use crate::{Config, Error, Result};

/// Calls about the engine.
#[derive(Clone, Copy)]
pub struct System<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl System<'_> {
    /// What the engine has and is, for `docker info`.
    ///
    /// # Errors
    /// None now; reading facts of the machine may come to fail.
    pub fn info(&self) -> Result<api::system::Info> {
        Ok(info::info(self.inner))
    }

    /// What `host-gateway` stands for in names of hosts.
    pub fn host_gateways(&self) -> Vec<std::net::IpAddr> {
        host_gateways(self.inner)
    }

    /// Versions, for `docker version`.
    pub fn version(&self) -> api::system::Version {
        version::version(self.inner)
    }

    /// Whether everything that is kept is whole; with `repair`, mends what can be mended.
    ///
    /// # Errors
    /// When the folders or records cannot be read at all.
    pub fn check(&self, repair: bool) -> Result<api::system::Check> {
        check::check(self.inner, repair)
    }

    /// What takes space; `types` chooses among `container`, `image`, `volume`, `build-cache`, none means all.
    ///
    /// # Errors
    /// For a type that does not exist.
    pub fn disk_usage(&self, types: &[String]) -> Result<api::system::DiskUsage> {
        disk_usage::disk_usage(self.inner, types)
    }
}

/// The machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What `host-gateway` stands for: as it is configured, else the default bridge's own addresses.
pub(crate) fn host_gateways(inner: &Inner) -> Vec<std::net::IpAddr> {
    let configured = inner.config().network.host_gateway_ips.clone();
    if configured.is_empty() { inner.networks.host_gateway() } else { configured }
}

/// The network component's part of the configuration.
pub(crate) fn network_config(config: &Config) -> Result<network::Config> {
    let from = &config.network;
    let mut to = network::Config::new(config.data_root.clone(), config.exec_root.clone());
    to.bridge.clone_from(&from.bridge);
    to.bip = from.bip.as_deref().map(|text| split_v4("bip", text)).transpose()?;
    to.bip6 = from.bip6.as_deref().map(|text| split_v6("bip6", text)).transpose()?;
    to.fixed_cidr =
        from.fixed_cidr.as_deref().map(|text| text.parse().map_err(Error::from_kinded)).transpose()?;
    to.fixed_cidr_v6 =
        from.fixed_cidr_v6.as_deref().map(|text| text.parse().map_err(Error::from_kinded)).transpose()?;
    to.default_gateway = match from.default_gateway {
        Some(std::net::IpAddr::V4(address)) => Some(address),
        _ => None,
    };
    to.default_gateway_v6 = match from.default_gateway_v6 {
        Some(std::net::IpAddr::V6(address)) => Some(address),
        _ => None,
    };
    to.mtu = if from.mtu == 0 { 1500 } else { from.mtu };
    to.inter_container = from.icc;
    to.masquerade = from.ip_masq;
    to.ip_forward = from.ip_forward;
    to.firewall = from.iptables;
    to.firewall_v6 = from.ip6tables;
    to.userland_proxy = from.userland_proxy;
    to.ipv6 = from.ipv6;
    if let Some(address) = from.host_binding_ip {
        to.default_binding = address;
    }
    to.default_address_pools = from
        .address_pools
        .iter()
        .map(|pool| {
            let base = pool.base.parse().map_err(Error::from_kinded)?;
            Ok(network::config::AddressPool { base, size: pool.size })
        })
        .collect::<Result<_>>()?;
    Ok(to)
}

fn split_v4(name: &str, text: &str) -> Result<(std::net::Ipv4Addr, u8)> {
    let bad = || Error::invalid(format!("invalid {name}: {text}"));
    let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(bad)?;
    Ok((address.parse().map_err(|_| bad())?, prefix))
}

fn split_v6(name: &str, text: &str) -> Result<(std::net::Ipv6Addr, u8)> {
    let bad = || Error::invalid(format!("invalid {name}: {text}"));
    let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 128).ok_or_else(bad)?;
    Ok((address.parse().map_err(|_| bad())?, prefix))
}

/// Takes over what may change while the engine runs, and tells it.
pub(crate) fn reload(inner: &Inner, new: Config) -> Result<()> {
    let old = inner.config();
    let merged = Config {
        labels: new.labels,
        debug: new.debug,
        live_restore: new.live_restore,
        shutdown_timeout: new.shutdown_timeout,
        default_stop_timeout: new.default_stop_timeout,
        runtimes: new.runtimes,
        default_runtime: new.default_runtime,
        registry: new.registry,
        image_budget: new.image_budget,
        build_cache: new.build_cache,
        ..Config::clone(&old)
    };
    inner.registries.reload(&merged.registry);
    let attributes = reload_attributes(&merged);
    inner.set_config(merged);
    inner.events.publish(EventType::Daemon, "reload", inner.id.clone(), attributes);
    Ok(())
}

fn reload_attributes(config: &Config) -> BTreeMap<String, String> {
    let json = |value: serde_json::Value| value.to_string();
    [
        ("name", config.name.clone().unwrap_or_else(host_name)),
        ("debug", config.debug.to_string()),
        ("labels", json(serde_json::json!(config.labels))),
        ("live-restore", config.live_restore.to_string()),
        ("shutdown-timeout", config.shutdown_timeout.to_string()),
        ("default-runtime", config.default_runtime.clone()),
        ("insecure-registries", json(serde_json::json!(config.registry.insecure))),
        ("registry-mirrors", json(serde_json::json!(config.registry.mirrors))),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
