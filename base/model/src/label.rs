//! Labels: user metadata, key to value.

use std::collections::BTreeMap;

/// Key to value, sorted by key as Docker's JSON answers are.
pub type Labels = BTreeMap<String, String>;

/// Whether the labels satisfy one label filter: `key` (present) or `key=value` (equal).
pub fn matches(labels: &Labels, filter: &str) -> bool {
    match filter.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|held| held == value),
        None => labels.contains_key(filter),
    }
}
