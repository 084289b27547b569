//! The build cache as records.

use api::system::BuildCache;
use buildkit::control::{DiskUsageRequest, PruneRequest, UsageRecord};
use buildkit::time::Timestamp;
use buildkit::worker::GcPolicy;
use engine::Engine;
use engine::build::{CacheRule, FILTERS, PruneWishes};
use grpc::{Code, Status};
use model::{Filters, Kinded as _};

use super::failure;

/// What is in the cache.
pub(super) fn usage(engine: &Engine, request: &DiskUsageRequest) -> Result<Vec<UsageRecord>, Status> {
    let filters = filters(&request.filter)?;
    let wanted = |record: &BuildCache| {
        let fits = |name: &str, value: &str| {
            !filters.contains(name) || filters.get(name).any(|wanted| wanted == value)
        };
        fits("id", &record.id) && fits("type", &record.kind)
    };
    Ok(engine.builds().cache().iter().filter(|record| wanted(record)).map(record).collect())
}

/// Removes from the cache; the records that went.
pub(super) fn prune(engine: &Engine, request: &PruneRequest) -> Result<Vec<UsageRecord>, Status> {
    let mut filters = filters(&request.filter)?;
    if request.keep_duration > 0 {
        filters.add("until", &format!("{}ns", request.keep_duration));
    }
    let before = engine.builds().cache();
    let keep = u64::try_from(request.keep_bytes.max(request.max_used_space)).unwrap_or_default();
    let wishes = PruneWishes { all: request.all, keep, filters };
    let pruned = engine.builds().prune(&wishes).map_err(|error| failure::plain(&error))?;
    let gone = pruned.caches_deleted.unwrap_or_default();
    Ok(before.iter().filter(|record| gone.contains(&record.id)).map(record).collect())
}

/// The rules by which cache goes, as clients show them.
pub(super) fn rules(engine: &Engine) -> Vec<GcPolicy> {
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let shown = |rule: &CacheRule| {
        let named = |name: &'static str| rule.filters.get(name).map(move |value| format!("{name}=={value}"));
        let names = FILTERS.iter().filter(|name| !matches!(**name, "until" | "unused-for"));
        GcPolicy {
            all: rule.all,
            keep_duration: rule.age().map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)),
            keep_bytes: number(rule.keep),
            filters: names.flat_map(|name| named(name)).collect(),
        }
    };
    engine.config().build_cache.iter().map(shown).collect()
}

/// `name==value` and `name=value`, as BuildKit's clients write them.
fn filters(texts: &[String]) -> Result<Filters, Status> {
    let mut filters = Filters::default();
    for text in texts.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()) {
        let (name, value) = text.split_once("==").or_else(|| text.split_once('=')).unwrap_or((text, "true"));
        filters.add(name, value.trim_matches('"'));
    }
    filters.allow_only(FILTERS).map_err(|error| Status::new(Code::from(error.kind()), error.to_string()))?;
    Ok(filters)
}

fn record(record: &BuildCache) -> UsageRecord {
    UsageRecord {
        id: record.id.clone(),
        mutable: record.kind != "regular",
        in_use: record.in_use,
        size: record.size,
        created_at: time(&record.created_at),
        last_used_at: record.last_used_at.as_deref().and_then(time),
        usage_count: record.usage_count,
        description: record.description.clone(),
        record_type: record.kind.clone(),
        shared: record.shared,
        ..UsageRecord::default()
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let time: model::Timestamp = text.parse().ok()?;
    Some(Timestamp { seconds: time.seconds(), nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_clients_write_them() {
        let read = filters(&["type==regular,id=abc".to_owned(), "inuse".to_owned()]).expect("reads");
        assert_eq!(read.get("type").collect::<Vec<_>>(), ["regular"]);
        assert_eq!(read.get("id").collect::<Vec<_>>(), ["abc"]);
        assert_eq!(read.get("inuse").collect::<Vec<_>>(), ["true"]);
        assert!(filters(&["color=red".to_owned()]).is_err());
    }
}
