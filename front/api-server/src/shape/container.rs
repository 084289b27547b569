//! Containers by version.

use api::ApiVersion;
use api::container::{Inspect, Summary};
use api::network::EndpointSettings;
use serde_json::Value;

use super::{take_out, tree};
use crate::failure::Failure;

/// Fields of `NetworkSettings` that describe the default bridge only; gone in 1.52.
const DEFAULT_BRIDGE_FIELDS: &[&str] = &[
    "Bridge",
    "HairpinMode",
    "LinkLocalIPv6Address",
    "LinkLocalIPv6PrefixLen",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
];

/// One container.
pub(crate) fn inspect(mut document: Inspect, version: ApiVersion) -> Result<Value, Failure> {
    if version.below(45) {
        let short: String = document.id.chars().take(12).collect();
        for (name, endpoint) in &mut document.network_settings.networks {
            if !matches!(name.as_str(), "bridge" | "host" | "none") {
                add_alias(endpoint, &short);
            }
        }
    }
    for endpoint in document.network_settings.networks.values_mut() {
        shape_endpoint(endpoint, version);
    }
    if version.below(48) {
        document.image_manifest_descriptor = None;
    }
    if version.below(52) {
        document.storage = None;
    }
    if version.below(44) {
        document.network_settings.networks.values_mut().for_each(|endpoint| endpoint.dns_names = None);
    }
    let mut value = tree(&document)?;
    if version.at_least(52) {
        take_out(value.get_mut("NetworkSettings"), DEFAULT_BRIDGE_FIELDS);
        take_out(value.get_mut("Config"), &["MacAddress"]);
    }
    Ok(value)
}

/// The short id was among the aliases until 1.45; names have a list of their own since.
fn add_alias(endpoint: &mut EndpointSettings, short: &str) {
    let aliases = endpoint.aliases.get_or_insert_default();
    if !aliases.iter().any(|alias| alias == short) {
        aliases.push(short.to_owned());
    }
}

fn shape_endpoint(endpoint: &mut EndpointSettings, version: ApiVersion) {
    endpoint.gw_priority = version.at_least(48).then(|| endpoint.gw_priority.unwrap_or_default());
}

/// One container of a list.
pub(crate) fn summary(mut container: Summary, version: ApiVersion) -> Summary {
    if version.below(46) {
        container.host_config.annotations = None;
    }
    if version.below(48) {
        container.image_manifest_descriptor = None;
    }
    if version.below(52) {
        container.health = None;
    }
    for endpoint in container.network_settings.networks.values_mut() {
        shape_endpoint(endpoint, version);
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Inspect {
        let mut document = Inspect { id: "a".repeat(64), ..Inspect::default() };
        document.config.mac_address = "02:00:00:00:00:01".to_owned();
        document.image_manifest_descriptor = Some(Value::Null);
        document.network_settings.networks.insert("own".to_owned(), EndpointSettings::default());
        document
    }

    #[test]
    fn versions_differ_where_docker_says() {
        for (minor, short_alias, legacy, mac, descriptor) in [
            (44, true, true, true, false),
            (45, false, true, true, false),
            (51, false, true, true, true),
            (52, false, false, false, true),
        ] {
            let value = inspect(document(), ApiVersion::new(minor)).unwrap();
            let settings = &value["NetworkSettings"];
            assert_eq!(settings["Networks"]["own"]["Aliases"].is_array(), short_alias, "1.{minor}");
            assert_eq!(settings.get("IPAddress").is_some(), legacy, "1.{minor}");
            assert_eq!(value["Config"].get("MacAddress").is_some(), mac, "1.{minor}");
            assert_eq!(value.get("ImageManifestDescriptor").is_some(), descriptor, "1.{minor}");
            assert!(settings.get("Ports").is_some());
        }
    }
}
