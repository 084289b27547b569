//! The records of a registry: their keys and what they hold.
//!
//! ```text
//! repository/NAME                    a repository exists
//! link/NAME@BLOB                     a blob belongs to a repository
//! manifest/NAME@DIGEST               a manifest does
//! tag/NAME:TAG                       where a tag points
//! referrer/NAME@SUBJECT@DIGEST       the descriptor of a manifest that says something about another
//! wanted/NAME@BLOB                   a mirrored manifest names a blob of a size that may not be here yet
//! use/BLOB@NAME, use/DIGEST#NAME     the same links and manifests seen from the bytes: while there is one, they stay
//! ```
//! No name holds `@`, `#` or `:`, so a prefix never matches another repository's records.

use oci::digest::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::name::Repository;
use crate::storage::{Change, Storage, StorageError};

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepositoryRecord {
    /// Seconds since the epoch when it got its first content.
    pub since: i64,
}

/// A blob in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    /// Its bytes.
    pub size: u64,
    /// Seconds since the epoch when it came.
    pub since: i64,
}

/// A manifest in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestRecord {
    /// Its media type.
    pub media: String,
    /// Its bytes.
    pub size: u64,
    /// Seconds since the epoch when it came.
    pub since: i64,
    /// The blobs it names that are in the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
    /// The manifests it lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Digest>,
    /// The manifest it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    /// Where it points.
    pub digest: Digest,
    /// Seconds since the epoch when it was set.
    pub since: i64,
    /// Seconds since the epoch when a mirrored tag was last seen upstream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

pub(crate) fn repository_key(name: &str) -> String {
    format!("repository/{name}")
}

pub(crate) fn link_key(name: &str, digest: &Digest) -> String {
    format!("link/{name}@{digest}")
}

pub(crate) fn manifest_key(name: &str, digest: &Digest) -> String {
    format!("manifest/{name}@{digest}")
}

pub(crate) fn link_prefix(name: &str) -> String {
    format!("link/{name}@")
}

pub(crate) fn wanted_prefix(name: &str) -> String {
    format!("wanted/{name}@")
}

pub(crate) fn wanted_key(name: &str, digest: &Digest) -> String {
    format!("wanted/{name}@{digest}")
}

pub(crate) fn manifest_prefix(name: &str) -> String {
    format!("manifest/{name}@")
}

pub(crate) fn tag_key(name: &str, tag: &str) -> String {
    format!("tag/{name}:{tag}")
}

pub(crate) fn referrer_key(name: &str, subject: &Digest, digest: &Digest) -> String {
    format!("referrer/{name}@{subject}@{digest}")
}

pub(crate) fn blob_use_key(digest: &Digest, name: &str) -> String {
    format!("use/{digest}@{name}")
}

pub(crate) fn manifest_use_key(digest: &Digest, name: &str) -> String {
    format!("use/{digest}#{name}")
}

/// What stands in a key behind a prefix.
pub(crate) fn behind<'k>(key: &'k str, prefix: &str) -> &'k str {
    key.strip_prefix(prefix).unwrap_or(key)
}

/// Reads a record.
pub(crate) fn read<V: DeserializeOwned>(storage: &dyn Storage, key: &str) -> Result<Option<V>, StorageError> {
    storage.record(key)?.map(|text| decode(key, &text)).transpose()
}

/// Reads the records with a prefix; the keys lose it.
pub(crate) fn list<V: DeserializeOwned>(
    storage: &dyn Storage,
    prefix: &str,
) -> Result<Vec<(String, V)>, StorageError> {
    let found = storage.records(prefix)?;
    found.into_iter().map(|(key, text)| Ok((behind(&key, prefix).to_owned(), decode(&key, &text)?))).collect()
}

fn decode<V: DeserializeOwned>(key: &str, text: &str) -> Result<V, StorageError> {
    serde_json::from_str(text).map_err(|_| StorageError::Damaged { what: key.to_owned() })
}

/// The change that sets a record.
pub(crate) fn put<V: Serialize>(key: String, value: &V) -> Result<Change, StorageError> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Change::Put(key, text)),
        Err(_) => Err(StorageError::Damaged { what: key }),
    }
}

/// The changes that take a blob out of a repository.
pub(crate) fn unlink_changes(name: &Repository, digest: &Digest) -> Vec<Change> {
    vec![Change::Remove(link_key(name.as_str(), digest)), Change::Remove(blob_use_key(digest, name.as_str()))]
}

/// The changes that link a blob, in an order that is safe to be cut anywhere: the use comes before what uses.
pub(crate) fn link_changes(
    name: &Repository,
    digest: &Digest,
    size: u64,
) -> Result<Vec<Change>, StorageError> {
    let link = LinkRecord { size, since: model::Timestamp::now().seconds() };
    Ok(vec![
        Change::Put(blob_use_key(digest, name.as_str()), "0".to_owned()),
        put(link_key(name.as_str(), digest), &link)?,
    ])
}
