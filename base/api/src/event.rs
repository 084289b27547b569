//! Events, and the kinds of things they happen to.
#![expect(missing_docs, reason = "fields are documented by the swagger definitions they are named after")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::shape::is_default;

/// One event of `GET /events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The action, for containers and images, below API 1.52.
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
    /// Below API 1.52.
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    /// The image, below API 1.52.
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    /// container, image, volume, network, daemon, plugin, ...
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// local or swarm.
    #[serde(skip_serializing_if = "is_default")]
    pub scope: String,
    /// Unix seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub time: i64,
    #[serde(rename = "timeNano", skip_serializing_if = "is_default")]
    pub time_nano: i64,
}

/// What the event happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}
