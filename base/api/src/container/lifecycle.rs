//! Documents of the smaller container calls: top, changes, update, wait, prune, archive.
#![expect(missing_docs, reason = "fields are documented by the swagger definitions they are named after")]

use serde::{Deserialize, Deserializer, Serialize};

use super::{Resources, RestartPolicy};

/// Answer of `GET /containers/{id}/top`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Top {
    pub processes: Vec<Vec<String>>,
    pub titles: Vec<String>,
}

/// An element of `GET /containers/{id}/changes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Change {
    pub path: String,
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
pub enum ChangeKind {
    #[default]
    Modified,
    Added,
    Deleted,
}

impl From<ChangeKind> for u8 {
    fn from(kind: ChangeKind) -> Self {
        kind as Self
    }
}

impl From<u8> for ChangeKind {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Added,
            2 => Self::Deleted,
            _ => Self::Modified,
        }
    }
}

/// Body of `POST /containers/{id}/update`: the fields of [`Resources`] with the restart policy beside them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateRequest {
    #[serde(flatten)]
    pub resources: Resources,
    pub restart_policy: RestartPolicy,
}

impl<'de> Deserialize<'de> for UpdateRequest {
    /// Reads the same object twice, because `flatten` would lose the lenient matching of names.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Beside {
            restart_policy: RestartPolicy,
        }
        let whole = serde_json::Value::deserialize(input)?;
        let resources = crate::decode_value(&whole).map_err(serde::de::Error::custom)?;
        let beside: Beside = crate::decode_value(&whole).map_err(serde::de::Error::custom)?;
        Ok(Self { resources, restart_policy: beside.restart_policy })
    }
}

/// Answer of update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateResponse {
    pub warnings: Option<Vec<String>>,
}

/// Answer of `POST /containers/{id}/wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitError>,
    pub status_code: i64,
}

/// Why waiting failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitError {
    #[serde(skip_serializing_if = "crate::shape::is_default")]
    pub message: String,
}

/// Answer of `POST /containers/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PruneResponse {
    pub containers_deleted: Option<Vec<String>>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// What the header `X-Docker-Container-Path-Stat` carries, as base64 of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArchiveStat {
    pub name: String,
    pub size: i64,
    /// Go's `FileMode`: directory is bit 31, symlink bit 27.
    pub mode: u32,
    pub mtime: String,
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}
