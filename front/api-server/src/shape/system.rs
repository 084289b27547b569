//! Info and disk use by version.

use api::ApiVersion;
use api::system::{DiskUsage, Info};
use serde_json::Value;

use super::tree;
use crate::failure::Failure;

/// The engine's description.
pub(crate) fn info(mut document: Info, version: ApiVersion) -> Result<Value, Failure> {
    let bridge_filter = version.below(50).then_some(false);
    document.bridge_nf_iptables = bridge_filter.map(|none| document.bridge_nf_iptables.unwrap_or(none));
    document.bridge_nf_ip6tables = bridge_filter.map(|none| document.bridge_nf_ip6tables.unwrap_or(none));
    for commit in [&mut document.containerd_commit, &mut document.runc_commit, &mut document.init_commit] {
        commit.expected = version.below(49).then(|| commit.id.clone());
    }
    if version.below(49) {
        document.firewall_backend = None;
    }
    if version.below(50) {
        document.discovered_devices = None;
    }
    let mut value = tree(&document)?;
    if version.below(49)
        && let Some(Value::Object(registry)) = value.get_mut("RegistryConfig")
    {
        let mut older = serde_json::Map::new();
        older.insert("AllowNondistributableArtifactsCIDRs".to_owned(), Value::Null);
        older.insert("AllowNondistributableArtifactsHostnames".to_owned(), Value::Null);
        older.append(registry);
        *registry = older;
    }
    Ok(value)
}

/// What of the disk use was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Items of the new form, and none of the old.
    pub(crate) verbose: bool,
    /// Kinds that `type` named, or all.
    pub(crate) containers: bool,
    pub(crate) images: bool,
    pub(crate) volumes: bool,
    pub(crate) build_cache: bool,
}

/// Disk use; the older arrays stand beside the newer objects unless `verbose` is asked for.
pub(crate) fn disk_usage(mut document: DiskUsage, wanted: Usage, version: ApiVersion) -> DiskUsage {
    if version.below(52) {
        document.image_usage = None;
        document.container_usage = None;
        document.volume_usage = None;
        document.build_cache_usage = None;
    } else if wanted.verbose {
        document.layers_size = None;
        document.images = None;
        document.containers = None;
        document.volumes = None;
        document.build_cache = None;
    } else {
        if let Some(usage) = &mut document.image_usage {
            usage.items = None;
        }
        if let Some(usage) = &mut document.container_usage {
            usage.items = None;
        }
        if let Some(usage) = &mut document.volume_usage {
            usage.items = None;
        }
        if let Some(usage) = &mut document.build_cache_usage {
            usage.items = None;
        }
    }
    leave_unwanted_out(document, wanted)
}

fn leave_unwanted_out(mut document: DiskUsage, wanted: Usage) -> DiskUsage {
    if !wanted.images {
        document.layers_size = document.layers_size.map(|_| 0);
        document.images = None;
        document.image_usage = None;
    }
    if !wanted.containers {
        document.containers = None;
        document.container_usage = None;
    }
    if !wanted.volumes {
        document.volumes = None;
        document.volume_usage = None;
    }
    if !wanted.build_cache {
        document.build_cache = None;
        document.build_cache_usage = None;
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::system::Usage as Figures;

    #[test]
    fn info_keeps_what_a_version_had() {
        let document =
            Info { registry_config: Some(api::system::RegistryConfig::default()), ..Info::default() };
        let old = info(document.clone(), ApiVersion::new(48)).unwrap();
        assert!(old["RuncCommit"].get("Expected").is_some());
        assert_eq!(old["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"], Value::Null);
        assert_eq!(
            old["RegistryConfig"].as_object().unwrap().keys().next().unwrap(),
            "AllowNondistributableArtifactsCIDRs"
        );
        let new = info(document, ApiVersion::new(50)).unwrap();
        assert!(new["RuncCommit"].get("Expected").is_none());
        assert!(new.get("BridgeNfIptables").is_none());
    }

    #[test]
    fn disk_use_has_two_forms() {
        let document = DiskUsage {
            layers_size: Some(1),
            images: Some(Vec::new()),
            image_usage: Some(Figures { items: Some(Vec::new()), ..Figures::default() }),
            ..DiskUsage::default()
        };
        let all = Usage { verbose: false, containers: true, images: true, volumes: true, build_cache: true };
        let old = disk_usage(document.clone(), all, ApiVersion::new(51));
        assert!(old.images.is_some() && old.image_usage.is_none());
        let both = disk_usage(document.clone(), all, ApiVersion::new(52));
        assert!(both.images.is_some() && both.image_usage.unwrap().items.is_none());
        let verbose = disk_usage(document, Usage { verbose: true, ..all }, ApiVersion::new(52));
        assert!(verbose.images.is_none() && verbose.image_usage.unwrap().items.is_some());
    }
}
