//! The setting `builder`: how much of what builds leave is kept.

use std::path::Path;

use engine::build::CacheRule;
use serde_json::Value;

type Document = std::collections::BTreeMap<String, Value>;

/// Bytes of contexts and cache mounts that stay when they were not used for two days.
const SMALL: u64 = 512 << 20;

/// What may stay where the size of the disk cannot be told.
const FALLBACK: u64 = 2_000_000_000;

/// `builder.gc`: the rules by which cache goes, the first one first. Nothing said keeps it all; `enabled` alone lets it have
/// a tenth of the disk that `root` is on.
pub(crate) fn rules(document: &Document, root: &Path) -> Result<Vec<CacheRule>, String> {
    let Some(gc) = document.get("gc").and_then(Value::as_object) else { return Ok(Vec::new()) };
    let enabled = gc.get("enabled").and_then(Value::as_bool);
    if enabled == Some(false) {
        return Ok(Vec::new());
    }
    if let Some(policy) = gc.get("policy").and_then(Value::as_array).filter(|policy| !policy.is_empty()) {
        return policy.iter().map(rule).collect();
    }
    match gc.get("defaultKeepStorage") {
        Some(value) => Ok(usual(bytes("defaultKeepStorage", value)?)),
        None if enabled == Some(true) => Ok(usual(tenth(root))),
        None => Ok(Vec::new()),
    }
}

/// A tenth of the disk a folder is on, or is going to be.
fn tenth(folder: &Path) -> u64 {
    let disk = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
    disk.map_or(FALLBACK, |disk| disk.f_blocks.saturating_mul(disk.f_frsize) / 10)
}

/// Docker's own rules for an amount.
fn usual(keep: u64) -> Vec<CacheRule> {
    let filters = |all: &[(&str, &str)]| {
        let mut filters = model::Filters::default();
        all.iter().for_each(|(name, value)| filters.add(name, value));
        filters
    };
    let light = [("type", "source.local"), ("type", "exec.cachemount"), ("unused-for", "48h")];
    vec![
        CacheRule { all: false, keep: SMALL.min(keep), filters: filters(&light) },
        CacheRule { all: false, keep, filters: filters(&[("unused-for", "1440h")]) },
        CacheRule { all: false, keep, filters: filters(&[]) },
        CacheRule { all: true, keep, filters: filters(&[]) },
    ]
}

fn rule(value: &Value) -> Result<CacheRule, String> {
    let keep = value.get("keepStorage").map(|keep| bytes("keepStorage", keep)).transpose()?;
    let mut rule = CacheRule { keep: keep.unwrap_or_default(), ..CacheRule::default() };
    rule.all = value.get("all").and_then(Value::as_bool).unwrap_or_default();
    for filter in value.get("filter").and_then(Value::as_array).into_iter().flatten() {
        let pair = filter.as_str().and_then(|text| text.split_once('='));
        let (name, value) = pair.ok_or_else(|| format!("builder.gc: invalid filter {filter}"))?;
        rule.filters.add(name, value.trim_start_matches('='));
    }
    rule.check().map_err(|error| format!("builder.gc: {error}"))?;
    Ok(rule)
}

fn bytes(name: &str, value: &Value) -> Result<u64, String> {
    let size = value.as_i64().or_else(|| value.as_str().and_then(|text| model::size::binary(text).ok()));
    let size = size.and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| format!("builder.gc: invalid value for {name}: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<CacheRule>, String> {
        rules(&serde_json::from_str(text).expect("a JSON object"), Path::new("/no/such/folder"))
    }

    #[test]
    fn rules_are_read_or_refused() {
        assert_eq!(read("{}"), Ok(Vec::new()));
        assert_eq!(read(r#"{"gc": {"enabled": false, "defaultKeepStorage": "1g"}}"#), Ok(Vec::new()));
        let usual = read(r#"{"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}"#).expect("reads");
        let told: Vec<(bool, u64)> = usual.iter().map(|rule| (rule.all, rule.keep)).collect();
        assert_eq!(told, [(false, SMALL), (false, 20 << 30), (false, 20 << 30), (true, 20 << 30)]);
        let tenth = read(r#"{"gc": {"enabled": true}}"#).expect("reads");
        assert!(tenth.len() == 4 && tenth[3].keep > 0, "{tenth:?}");
        assert_eq!(read(r#"{"gc": {}}"#), Ok(Vec::new()));
        let own =
            r#"{"gc": {"policy": [{"keepStorage": "1k", "filter": ["unused-for=24h"]}, {"all": true}]}}"#;
        let own = read(own).expect("reads");
        assert_eq!((own[0].keep, own[0].all, own[1].all), (1024, false, true));
        assert!(own[0].filters.get("unused-for").eq(["24h"]));
        for wrong in [
            r#"{"gc": {"defaultKeepStorage": "much"}}"#,
            r#"{"gc": {"policy": [{"filter": ["x"]}]}}"#,
            r#"{"gc": {"policy": [{"filter": ["unused-for=long"]}]}}"#,
            r#"{"gc": {"policy": [{"filter": ["color=red"]}]}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
