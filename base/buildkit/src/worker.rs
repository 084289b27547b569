//! Records of workers: what runs builds.

use std::collections::BTreeMap;

use crate::ops::Platform;

/// A worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkerRecord {
    /// Its id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What there is to know about it.
    #[prost(btree_map = "string, string", tag = "2")]
    pub labels: BTreeMap<String, String>,
    /// What it can build for, its own first.
    #[prost(message, repeated, tag = "3")]
    pub platforms: Vec<Platform>,
    /// When its cache is collected.
    #[prost(message, repeated, tag = "4")]
    pub gc_policy: Vec<GcPolicy>,
    /// Its version.
    #[prost(message, tag = "5")]
    pub buildkit_version: Option<BuildkitVersion>,
}

/// A rule for collecting cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GcPolicy {
    /// Internal records too.
    #[prost(bool, tag = "1")]
    pub all: bool,
    /// Nanoseconds since the last use.
    #[prost(int64, tag = "2")]
    pub keep_duration: i64,
    /// Bytes that stay.
    #[prost(int64, tag = "3")]
    pub keep_bytes: i64,
    /// Which records.
    #[prost(string, repeated, tag = "4")]
    pub filters: Vec<String>,
}

/// The version of a program.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildkitVersion {
    /// Who makes it.
    #[prost(string, tag = "1")]
    pub package: String,
    /// The version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Of which source.
    #[prost(string, tag = "3")]
    pub revision: String,
}
