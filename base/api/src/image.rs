//! Documents of images, and the progress lines of pull, push, load and build.
#![expect(missing_docs, reason = "fields are documented by the swagger definitions they are named after")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container::{Config, GraphDriver};
use crate::shape::is_default;

/// An element of `GET /images/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Summary {
    /// -1 when not counted.
    pub containers: i64,
    /// Unix seconds.
    pub created: i64,
    pub id: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub parent_id: String,
    /// From API 1.48.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<serde_json::Value>,
    /// From API 1.47, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<serde_json::Value>>,
    /// `null` only within `/system/df`.
    pub repo_digests: Option<Vec<String>>,
    /// `null` only within `/system/df`.
    pub repo_tags: Option<Vec<String>>,
    /// Bytes, -1 when not asked for.
    pub shared_size: i64,
    /// Bytes.
    pub size: i64,
    /// Equal to `size`, below API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<i64>,
}

/// Answer of `GET /images/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Inspect {
    pub id: String,
    /// From API 1.48.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<serde_json::Value>,
    /// From API 1.48, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<serde_json::Value>>,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    /// RFC 3339; empty when the image does not say.
    pub created: String,
    /// Below API 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Below API 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Config>,
    pub docker_version: String,
    pub author: String,
    pub config: Option<Config>,
    pub architecture: String,
    #[serde(skip_serializing_if = "is_default")]
    pub variant: String,
    pub os: String,
    #[serde(skip_serializing_if = "is_default")]
    pub os_version: String,
    /// Bytes.
    pub size: i64,
    /// Below API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<GraphDriver>,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: Metadata,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(skip_serializing_if = "is_default")]
    pub layers: Vec<String>,
}

/// What the engine knows beside the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Metadata {
    /// RFC 3339.
    #[serde(skip_serializing_if = "is_default")]
    pub last_tag_time: String,
}

/// An element of `GET /images/{name}/history`, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct History {
    pub comment: String,
    /// Unix seconds.
    pub created: i64,
    pub created_by: String,
    /// `<missing>` for all but images known here.
    pub id: String,
    /// Bytes.
    pub size: i64,
    pub tags: Option<Vec<String>>,
}

/// An element of the answer of `DELETE /images/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeleteItem {
    #[serde(skip_serializing_if = "is_default")]
    pub deleted: String,
    #[serde(skip_serializing_if = "is_default")]
    pub untagged: String,
}

/// Answer of `POST /images/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PruneResponse {
    pub images_deleted: Option<Vec<DeleteItem>>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// An element of `GET /images/search`; names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}

/// Answer of `GET /distribution/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DistributionInspect {
    pub descriptor: serde_json::Value,
    pub platforms: Vec<serde_json::Value>,
}

/// One line of progress (pull, push, import, load, build).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    #[serde(skip_serializing_if = "is_default")]
    pub stream: String,
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
    /// `{}` is sent where there is a bar but no numbers.
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// The bar as text, for old clients.
    #[serde(skip_serializing_if = "is_default")]
    pub progress: String,
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// The same message as in `error_detail`.
    #[serde(skip_serializing_if = "is_default")]
    pub error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

/// How far a step is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "is_default")]
    pub current: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub total: i64,
    /// Unix seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub start: i64,
    #[serde(rename = "hidecounts", skip_serializing_if = "is_default")]
    pub hide_counts: bool,
    /// Bytes when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub units: String,
}

/// Why a step failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "is_default")]
    pub code: i64,
    pub message: String,
}

impl Progress {
    /// A line of free text.
    pub fn stream(text: impl Into<String>) -> Self {
        Self { stream: text.into(), ..Self::default() }
    }

    /// A line that tells a state, of one layer when `id` is not empty.
    pub fn status(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self { id: id.into(), status: status.into(), ..Self::default() }
    }

    /// The line that ends a failed operation.
    pub fn failure(message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = ErrorDetail { code: 0, message: message.clone() };
        Self { error: message, error_detail: Some(detail), ..Self::default() }
    }
}
