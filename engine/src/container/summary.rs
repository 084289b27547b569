//! What `ps` shows of one container.

use std::collections::BTreeMap;

use ::container::{Container, ContainerRecord, Health, Shown, status};
use api::container::{Port, Summary, SummaryHealth, SummaryHostConfig, SummaryNetworkSettings};
use model::Timestamp;

use super::{inspect, port_spec};
use crate::engine::Inner;

/// The summary of one container.
pub(crate) fn summary(
    inner: &Inner,
    container: &Container,
    record: &ContainerRecord,
    now: Timestamp,
    size: bool,
) -> Summary {
    let health = health(container, record);
    let (size_rw, size_root_fs) = if size { inspect::sizes(inner, record) } else { (0, 0) };
    Summary {
        id: record.id.to_string(),
        names: vec![format!("/{}", record.name)],
        image: shown_image(inner, record),
        image_id: record.image_id.clone(),
        image_manifest_descriptor: inspect::manifest(record),
        command: command_text(record),
        created: record.created.seconds(),
        ports: ports(record),
        size_rw,
        size_root_fs,
        labels: record.config.labels.clone(),
        state: record.lifecycle.state.name().to_owned(),
        status: status::text(&record.lifecycle, health.status, now),
        host_config: SummaryHostConfig {
            network_mode: record.config.network_mode.clone(),
            annotations: (!record.config.annotations.is_empty()).then(|| record.config.annotations.clone()),
        },
        network_settings: SummaryNetworkSettings { networks: networks(record) },
        mounts: shown_mounts(record),
        health: Some(SummaryHealth {
            status: health.status.name().to_owned(),
            failing_streak: i64::from(health.failing_streak),
        }),
    }
}

/// What of the summary can change while the record stays the same; `image_named` is what [`is_image_named`] says.
pub(crate) fn shown(
    container: &Container,
    record: &ContainerRecord,
    now: Timestamp,
    variant: u32,
    image_named: bool,
) -> Shown {
    let health = health(container, record);
    Shown {
        variant,
        image_named,
        status: status::text(&record.lifecycle, health.status, now),
        health: health.status,
        failing_streak: health.failing_streak,
    }
}

fn health(container: &Container, record: &ContainerRecord) -> Health {
    if record.config.health.is_some() { container.health() } else { Health::default() }
}

fn shown_mounts(record: &ContainerRecord) -> Vec<api::container::MountPoint> {
    let mut mounts: Vec<_> =
        record.mounts.iter().map(inspect::mount_point).map(without_anonymous_source).collect();
    mounts.sort_by(|left, right| left.destination.cmp(&right.destination));
    mounts
}

/// Lists hide where anonymous volumes are, as Docker's do.
fn without_anonymous_source(mut mount: api::container::MountPoint) -> api::container::MountPoint {
    let anonymous =
        mount.kind == "volume" && mount.name.len() == model::id::FULL_LENGTH && mount.mode.is_empty();
    if anonymous {
        mount.source.clear();
    }
    mount
}

/// The name the image was asked by, or its id once that name means another image.
fn shown_image(inner: &Inner, record: &ContainerRecord) -> String {
    let named = is_image_named(inner, record);
    if named { record.image_reference.clone() } else { record.image_id.clone() }
}

/// Whether the name it was made with still means its image.
pub(crate) fn is_image_named(inner: &Inner, record: &ContainerRecord) -> bool {
    let reference = &record.image_reference;
    reference.is_empty() || inner.storage.names_image(reference, &record.image_id)
}

/// Arguments with blanks are quoted, as Docker shows them.
fn command_text(record: &ContainerRecord) -> String {
    if record.args.is_empty() {
        return record.path.clone();
    }
    let args: Vec<String> = record
        .args
        .iter()
        .map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() })
        .collect();
    format!("{} {}", record.path, args.join(" "))
}

fn ports(record: &ContainerRecord) -> Vec<Port> {
    let mut ports = Vec::new();
    for (key, bindings) in &record.network.ports {
        let Ok((private_port, protocol)) = port_spec::parse_key(key) else { continue };
        let base = Port { ip: String::new(), private_port, public_port: 0, protocol };
        match bindings.as_deref() {
            None | Some([]) => ports.push(base),
            Some(bindings) => ports.extend(bindings.iter().map(|binding| Port {
                ip: binding.host_ip.clone(),
                public_port: binding.host_port.parse().unwrap_or(0),
                ..base.clone()
            })),
        }
    }
    ports
}

fn networks(record: &ContainerRecord) -> BTreeMap<String, api::network::EndpointSettings> {
    record.network.networks.iter().map(|(name, held)| (name.clone(), inspect::endpoint(held))).collect()
}
