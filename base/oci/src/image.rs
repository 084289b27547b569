//! Image documents: descriptors, manifests, indexes and configurations, in OCI's and Docker's dialects.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::platform::Platform;

/// The file that says that a folder or an archive is an image layout.
pub mod layout {
    /// Its name.
    pub const FILE: &str = "oci-layout";
    /// Its content.
    pub const DOCUMENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
}

/// Media types of image documents.
pub mod media {
    /// OCI manifest of one image.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI list of manifests.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker manifest of one image (schema 2).
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker list of manifests.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

    /// Whether a media type is that of a manifest.
    pub fn is_manifest(kind: &str) -> bool {
        matches!(kind, OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// Whether a media type is that of an index.
    pub fn is_index(kind: &str) -> bool {
        matches!(kind, OCI_INDEX | DOCKER_INDEX)
    }

    /// Whether a media type is that of an image configuration.
    pub fn is_config(kind: &str) -> bool {
        matches!(kind, OCI_CONFIG | DOCKER_CONFIG)
    }

    /// Whether a media type is that of a file system layer.
    pub fn is_layer(kind: &str) -> bool {
        kind.starts_with("application/vnd.oci.image.layer.")
            || kind.starts_with("application/vnd.docker.image.rootfs.")
    }
}

/// Name of the image in the descriptors of an OCI layout, as containerd writes it (canonical).
pub const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";
/// Tag of the image in the descriptors of an OCI layout.
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A document or blob by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    #[serde(default, deserialize_with = "null_default")]
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Number of the bytes.
    #[serde(default, deserialize_with = "null_default")]
    pub size: u64,
    /// Other places to get the bytes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub urls: Vec<String>,
    /// Free properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
    /// The machine a manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A plain descriptor.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }

    /// The descriptor of some bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What the document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is, when no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// What this document says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests, one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What the document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests (or further lists).
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    /// Free properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
}

/// The configuration document of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient_time")]
    pub created: Option<Timestamp>,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub author: String,
    /// What it is for.
    #[serde(flatten)]
    pub platform: Platform,
    /// What containers of it get.
    #[serde(deserialize_with = "null_default")]
    pub config: ContainerConfig,
    /// The layers by their uncompressed digests, lowest first.
    #[serde(deserialize_with = "null_default")]
    pub rootfs: RootFs,
    /// How it was made, oldest step first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub history: Vec<History>,
    /// Comment of the last step (Docker).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub comment: String,
    /// The engine that made it (Docker).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub docker_version: String,
    /// The container it was made from (Docker).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub container: String,
    /// The configuration of that container (Docker), kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<serde_json::Value>,
}

/// Layers of a root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// What a container of the image gets when the user says nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// User and group.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub user: String,
    /// Ports (`80/tcp`), the values are empty objects.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "set", serialize_with = "write_set")]
    pub exposed_ports: Option<Vec<String>>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// First part of the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Second part of the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that become volumes.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "set", serialize_with = "write_set")]
    pub volumes: Option<Vec<String>>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub working_dir: String,
    /// Free properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that stops a container.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub stop_signal: String,
    /// Seconds from that signal to the kill (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The command line is escaped already (Docker, Windows).
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_default")]
    pub args_escaped: bool,
    /// Health check (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Steps for images built upon this one (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Shell of the shell forms (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// How to see whether a container works; times in nanoseconds, 0 means inherit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, `CMD` and arguments, or `CMD-SHELL` and a line; empty inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub interval: i64,
    /// Until a check counts as failed.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub timeout: i64,
    /// After the start, while failures do not count.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub start_period: i64,
    /// Between two checks in that period.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub retries: i64,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient_time")]
    pub created: Option<Timestamp>,
    /// By which command.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub created_by: String,
    /// By whom.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub author: String,
    /// Remark.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub comment: String,
    /// The step made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_default")]
    pub empty_layer: bool,
}

/// Null means the default, as in Go.
pub(crate) fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's zero time and anything unreadable count as not set: a wrong date must not make an image unusable.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| text != model::timestamp::ZERO).and_then(|text| text.parse().ok()))
}

fn set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(map.map(|map| map.into_keys().collect()))
}

/// Written only when there is a value: absent ones are skipped before.
fn write_set<S: Serializer>(set: &Option<Vec<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Empty {}
    serializer.collect_map(set.iter().flatten().map(|key| (key, Empty {})))
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_configuration_with_nulls_is_read() {
        let text = r#"{"architecture":"amd64","os":"linux","variant":null,"created":"2026-11-21T09:43:06.840524817Z",
            "container_config":{"Hostname":"x"},"config":{"Env":null,"Cmd":["sh"],"ExposedPorts":{"80/tcp":{}},
            "Volumes":null,"Labels":{"a":"b"},"ArgsEscaped":true,"Healthcheck":{"Test":["NONE"],"Retries":3},
            "OnBuild":null,"Unknown":1},"history":[{"created":"0001-01-01T00:00:00Z","created_by":"x",
            "empty_layer":true}],"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.platform.architecture, "amd64");
        assert_eq!(config.config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(config.config.exposed_ports, Some(vec!["80/tcp".to_owned()]));
        assert_eq!(config.history[0].created, None);
        let again = serde_json::to_string(&config).unwrap();
        assert!(again.contains(r#""ExposedPorts":{"80/tcp":{}}"#), "{again}");
        assert_eq!(serde_json::from_str::<ImageConfig>(&again).unwrap(), config);
    }

    #[test]
    fn descriptor_json_form() {
        let descriptor = Descriptor::of(media::OCI_CONFIG, b"{}");
        let text = serde_json::to_string(&descriptor).unwrap();
        let expected = format!(
            r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}}"#,
            descriptor.digest
        );
        assert_eq!(text, expected);
        assert!(serde_json::from_str::<Manifest>(r#"{"schemaVersion":2}"#).is_err());
    }
}
