//! The document: layers that build chains, and records that say what they are the results of.

use model::Timestamp;
use oci::Digest;
use serde::{Deserialize, Serialize};

use builder::solve::Shape;

/// The document's media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";
/// Bytes of a document.
pub(super) const LONGEST: u64 = 32 << 20;
/// Layers and records of one.
pub(super) const MOST: usize = 50_000;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct CacheConfig {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<CacheLayer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) records: Vec<CacheRecord>,
}

/// A layer above another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CacheLayer {
    pub(super) blob: Digest,
    /// The place of the layer below; -1 for none.
    #[serde(default)]
    pub(super) parent: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<LayerAnnotations>,
}

/// What is known of a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerAnnotations {
    pub(super) media_type: String,
    #[serde(rename = "diffID")]
    pub(super) diff_id: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
}

/// A result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    /// What it is found by.
    pub(super) digest: Digest,
    /// Its layers.
    #[serde(default, rename = "layers", skip_serializing_if = "Vec::is_empty")]
    pub(super) results: Vec<CacheResult>,
    /// What this builder needs; records without it are another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wharf: Option<Own>,
}

/// Where a result's uppermost layer stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheResult {
    pub(super) layer: usize,
    pub(super) created_at: Timestamp,
}

/// What this builder needs of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Own {
    /// It has a layer of its own; else nothing changed.
    pub(super) has_layer: bool,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) sources: Vec<Digest>,
    #[serde(default)]
    pub(super) shape: Shape,
    #[serde(default)]
    pub(super) description: String,
}
