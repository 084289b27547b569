//! Container events with Docker's attributes.

use std::collections::BTreeMap;

use ::container::ContainerRecord;

use crate::engine::Inner;
use crate::event::EventType;

/// Tells that something happened to a container: its labels, image and name go with it.
pub(crate) fn container(inner: &Inner, record: &ContainerRecord, action: &str, more: &[(&str, String)]) {
    let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
    if !record.image_reference.is_empty() {
        attributes.insert("image".to_owned(), record.image_reference.clone());
    }
    attributes.insert("name".to_owned(), record.name.clone());
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    inner.events.publish(EventType::Container, action, record.id.as_str(), attributes);
}

/// Tells that a container joined or left a network.
pub(crate) fn network(inner: &Inner, endpoint: &network::Endpoint, action: &str) {
    let driver = match endpoint.network_name.as_str() {
        "host" => "host",
        "none" => "null",
        _ => "bridge",
    };
    let attributes = [
        ("container", endpoint.container.to_string()),
        ("name", endpoint.network_name.clone()),
        ("type", driver.to_owned()),
    ];
    let attributes = attributes.map(|(key, value)| (key.to_owned(), value)).into();
    inner.events.publish(EventType::Network, action, endpoint.network.as_str(), attributes);
}

/// Tells that a container's volumes are in use, or no more.
pub(crate) fn volumes(inner: &Inner, record: &ContainerRecord, action: &str) {
    for mount in record.mounts.iter().filter(|mount| mount.kind == "volume") {
        let mut attributes = vec![("container", record.id.to_string()), ("driver", mount.driver.clone())];
        if action == "mount" {
            attributes.push(("destination", mount.destination.clone()));
            attributes.push(("propagation", mount.propagation.clone()));
            attributes.push(("read/write", mount.writable.to_string()));
        }
        let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        inner.events.publish(EventType::Volume, action, mount.name.as_str(), attributes);
    }
}
