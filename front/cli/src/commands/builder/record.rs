//! Records of the build cache, as `GET /system/df` tells them.

use api::system::BuildCache;
use api_client::{Client, Query};
use model::Filters;
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::human;

/// Keys that lists can be filtered by.
const KEYS: [&str; 8] = ["description", "id", "inuse", "parents", "private", "shared", "type", "until"];

/// All records that fit, the most recently used first.
///
/// # Errors
/// When the engine can't be reached or refuses, or a filter makes no sense.
pub(super) fn fetch(client: &Client, filters: &Filters) -> Result<Vec<BuildCache>, Failure> {
    filters.allow_only(&KEYS).map_err(|error| Failure::text(error.to_string()))?;
    let newest = longest_unused(filters)?;
    let mut query = Query::new().set("type", "build-cache");
    if client.at_least("1.52")? {
        query = query.set("verbose", "1");
    }
    let document: Json = client.get("/system/df", &query)?;
    let list = document.get("BuildCache").or_else(|| document.pointer("/BuildCacheUsage/Items"));
    let mut records: Vec<BuildCache> = match list {
        Some(Json::Null) | None => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(api_client::ClientError::from)?,
    };
    records.retain(|record| fits(record, filters) && newest.is_none_or(|newest| used(record) <= newest));
    records.sort_by(|one, other| used(other).cmp(&used(one)).then_with(|| one.id.cmp(&other.id)));
    Ok(records)
}

/// When a record was used last, in seconds since the epoch; when it was made, if never.
fn used(record: &BuildCache) -> i64 {
    let text = record.last_used_at.as_deref().unwrap_or(&record.created_at);
    text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
}

/// How long ago a record was used, in words; empty when it never was.
pub(super) fn last_used(record: &BuildCache) -> String {
    let known = record.last_used_at.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    known.map(|time| human::ago(time.as_second())).unwrap_or_default()
}

/// `until=24h`: the time before which a record was used last.
fn longest_unused(filters: &Filters) -> Result<Option<i64>, Failure> {
    let mut newest = None;
    for text in filters.get("until") {
        let span = model::duration::parse_nanoseconds(text)
            .map_err(|error| Failure::text(format!("failed to parse until={text}: {error}")))?;
        newest = Some(model::Timestamp::now().seconds() - span / 1_000_000_000);
    }
    Ok(newest)
}

fn fits(record: &BuildCache, filters: &Filters) -> bool {
    let is = |key: &str, value: bool| {
        // `inuse` alone means that it is.
        let wanted = |text: &str| text.is_empty() || crate::value::truth(text).unwrap_or(true);
        !filters.contains(key) || filters.any(key, |text| wanted(text) == value)
    };
    let equals = |key: &str, value: &str| !filters.contains(key) || filters.any(key, |text| text == value);
    let parents = record.parents.iter().flatten();
    let has_parent = |text: &str| parents.clone().any(|parent| parent == text);
    is("inuse", record.in_use)
        && is("shared", record.shared)
        && is("private", !record.shared)
        && equals("id", &record.id)
        && equals("type", &record.kind)
        && (!filters.contains("description")
            || filters.any("description", |text| record.description.contains(text)))
        && (!filters.contains("parents") || filters.any("parents", has_parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose() {
        let record = BuildCache {
            id: "abc".to_owned(),
            kind: "regular".to_owned(),
            description: "mount / from exec /bin/sh -c make".to_owned(),
            in_use: true,
            parents: Some(vec!["p".to_owned()]),
            ..BuildCache::default()
        };
        for (key, value, expected) in [
            ("id", "abc", true),
            ("id", "ab", false),
            ("inuse", "", true),
            ("inuse", "false", false),
            ("private", "true", true),
            ("shared", "true", false),
            ("type", "regular", true),
            ("type", "source.local", false),
            ("description", "make", true),
            ("parents", "p", true),
            ("parents", "q", false),
        ] {
            let mut filters = Filters::default();
            filters.add(key, value);
            assert_eq!(fits(&record, &filters), expected, "{key}={value}");
        }
        assert!(longest_unused(&Filters::default()).unwrap().is_none());
    }
}
