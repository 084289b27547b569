//! `inspect`: the record as Docker's document.

use std::collections::BTreeMap;

use ::container::{Container, ContainerRecord, Health, NetworkAttachment, State};
use api::container::{
    GraphDriver, HealthcheckResult, Inspect, MountPoint, NetworkSettings, PortBinding, State as StateDocument,
};
use api::network::EndpointSettings;
use model::timestamp::or_zero;

use crate::Result;
use crate::engine::Inner;
use crate::error::Context;

pub(crate) fn inspect(inner: &Inner, reference: &str, size: bool) -> Result<Inspect> {
    let container = inner.find(reference)?;
    let record = container.record();
    let execs = inner.execs.active_ids(&record.id);
    let (size_rw, size_root_fs) = if size { sizes(inner, &record) } else { (0, 0) };
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Ok(Inspect {
        id: record.id.to_string(),
        created: record.created.to_string(),
        path: record.path.clone(),
        args: record.args.clone(),
        state: state(&container, &record),
        image: record.image_id.clone(),
        resolv_conf_path: path(&record.paths.resolv_conf),
        hostname_path: path(&record.paths.hostname),
        hosts_path: path(&record.paths.hosts),
        log_path: path(&record.paths.log),
        name: format!("/{}", record.name),
        restart_count: i64::from(record.lifecycle.restart_count),
        driver: inner.storage.snapshots.driver_name().to_owned(),
        platform: record.platform.clone(),
        image_manifest_descriptor: manifest(&record),
        mount_label: record.mount_label.clone(),
        process_label: record.process_label.clone(),
        app_armor_profile: record.apparmor_profile.clone(),
        exec_ids: (!execs.is_empty()).then(|| execs.iter().map(ToString::to_string).collect()),
        host_config: host_config(inner, &record)?,
        graph_driver: Some(graph_driver(inner, &record)),
        storage: None,
        size_rw: size.then_some(size_rw),
        size_root_fs: size.then_some(size_root_fs),
        mounts: record.mounts.iter().map(mount_point).collect(),
        config: record.documents.config.read().doing(|| "reading the configuration".to_owned())?,
        network_settings: network_settings(&record),
    })
}

/// The manifest of the container's platform.
pub(super) fn manifest(record: &ContainerRecord) -> Option<serde_json::Value> {
    record.image_manifest.as_ref().and_then(|manifest| serde_json::to_value(manifest).ok())
}

fn host_config(inner: &Inner, record: &ContainerRecord) -> Result<api::container::HostConfig> {
    let mut document: api::container::HostConfig =
        record.documents.host_config.read().doing(|| "reading the host configuration".to_owned())?;
    let settings = super::create_record::settings_of(record)?;
    // Links go by `rm --link` and with what they lead to; the document is what was asked for.
    let links = settings.links.iter().filter_map(|link| {
        let target = inner.find(&link.target).ok()?.record();
        Some(format!("/{}:/{}/{}", target.name, record.name, link.alias))
    });
    document.links = Some(links.collect()).filter(|links: &Vec<String>| !links.is_empty());
    if record.lifecycle.started_at.is_some() {
        // A first start fills these in.
        document.dns.get_or_insert_default();
        document.dns_options.get_or_insert_default();
        document.dns_search.get_or_insert_default();
    }
    Ok(document)
}

fn graph_driver(inner: &Inner, record: &ContainerRecord) -> GraphDriver {
    GraphDriver {
        data: inner.storage.root_folders(&record.snapshot),
        name: inner.storage.snapshots.driver_name().to_owned(),
    }
}

/// Bytes changed, and bytes of the whole root.
pub(crate) fn sizes(inner: &Inner, record: &ContainerRecord) -> (i64, i64) {
    let own = inner.storage.root_size(&record.snapshot);
    let image = inner.storage.image_size(&record.image_id, record.image_manifest.as_ref());
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    (signed(own), signed(own.saturating_add(image)))
}

fn state(container: &Container, record: &ContainerRecord) -> StateDocument {
    let lifecycle = &record.lifecycle;
    let state = &lifecycle.state;
    StateDocument {
        status: state.name().to_owned(),
        running: state.is_running(),
        paused: state.is_paused(),
        restarting: *state == State::Restarting,
        oom_killed: lifecycle.oom_killed,
        dead: *state == State::Dead,
        pid: i64::from(state.pid()),
        exit_code: i64::from(lifecycle.exit_code),
        error: lifecycle.error.clone(),
        started_at: or_zero(lifecycle.started_at),
        finished_at: or_zero(lifecycle.finished_at),
        health: health(record, &container.health()),
    }
}

fn health(record: &ContainerRecord, health: &Health) -> Option<api::container::Health> {
    record.config.health.as_ref()?;
    record.lifecycle.started_at?;
    let log = health.log.iter().map(|result| HealthcheckResult {
        start: result.start.to_string(),
        end: result.end.to_string(),
        exit_code: i64::from(result.exit_code),
        output: result.output.clone(),
    });
    Some(api::container::Health {
        status: health.status.name().to_owned(),
        failing_streak: i64::from(health.failing_streak),
        log: Some(log.collect()),
    })
}

/// A mount as lists and `inspect` show it.
pub(crate) fn mount_point(mount: &::container::MountPoint) -> MountPoint {
    MountPoint {
        kind: mount.kind.clone(),
        name: mount.name.clone(),
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        driver: mount.driver.clone(),
        mode: mount.mode.clone(),
        writable: mount.writable,
        propagation: mount.propagation.clone(),
    }
}

fn network_settings(record: &ContainerRecord) -> NetworkSettings {
    let network = &record.network;
    let networks: BTreeMap<String, EndpointSettings> =
        network.networks.iter().map(|(name, held)| (name.clone(), endpoint(held))).collect();
    let first = network.networks.get("bridge").cloned().unwrap_or_default();
    let ports = network.ports.iter().map(|(key, bindings)| {
        let shown = bindings.as_ref().map(|list| list.iter().map(port_binding).collect());
        (key.clone(), shown)
    });
    NetworkSettings {
        sandbox_id: network.sandbox_id.clone(),
        sandbox_key: network.sandbox_key.clone(),
        ports: ports.collect(),
        endpoint_id: first.endpoint_id,
        gateway: first.gateway,
        global_ipv6_address: first.global_ipv6_address,
        global_ipv6_prefix_len: i64::from(first.global_ipv6_prefix_len),
        ip_address: first.ip_address,
        ip_prefix_len: i64::from(first.ip_prefix_len),
        ipv6_gateway: first.ipv6_gateway,
        mac_address: first.mac_address,
        networks,
        ..NetworkSettings::default()
    }
}

fn port_binding(binding: &::container::PortBinding) -> PortBinding {
    PortBinding { host_ip: binding.host_ip.clone(), host_port: binding.host_port.clone() }
}

/// One network of a container as Docker's document.
pub(crate) fn endpoint(held: &NetworkAttachment) -> EndpointSettings {
    let list = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    EndpointSettings {
        ipam_config: serde_json::from_value(held.ipam.clone()).unwrap_or_default(),
        links: list(&held.links),
        aliases: list(&held.aliases),
        mac_address: held.mac_address.clone(),
        driver_opts: (!held.driver_options.is_empty()).then(|| held.driver_options.clone()),
        gw_priority: Some(held.gateway_priority),
        network_id: held.network_id.clone(),
        endpoint_id: held.endpoint_id.clone(),
        gateway: held.gateway.clone(),
        ip_address: held.ip_address.clone(),
        ip_prefix_len: i64::from(held.ip_prefix_len),
        ipv6_gateway: held.ipv6_gateway.clone(),
        global_ipv6_address: held.global_ipv6_address.clone(),
        global_ipv6_prefix_len: i64::from(held.global_ipv6_prefix_len),
        dns_names: list(&held.dns_names),
    }
}
