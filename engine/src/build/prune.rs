//! What builds have left: listed, and removed when somebody wants the space.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use api::system::{BuildCache, BuildPruneResponse};
use model::Timestamp;

use super::cache::Entry;
use crate::engine::Inner;
use crate::{Error, Result};

/// The filters that are known.
pub const FILTERS: &[&str] =
    &["until", "unused-for", "id", "parent", "type", "description", "inuse", "shared", "private"];

/// What of the cache is removed.
#[derive(Debug, Clone, Default)]
pub struct PruneWishes {
    /// What images have, too.
    pub all: bool,
    /// Bytes that may stay.
    pub keep: u64,
    /// Docker's filters.
    pub filters: model::Filters,
}

/// A thing that can be removed.
struct Item {
    id: String,
    kind: &'static str,
    description: String,
    size: u64,
    /// Its bytes belong to an image as well.
    shared: bool,
    created: Timestamp,
    last_used: Timestamp,
    uses: u64,
    /// A cache mount's folder.
    folder: Option<PathBuf>,
}

/// All of it, what was used last first.
pub(super) fn list(inner: &Inner) -> Vec<BuildCache> {
    let document = |item: Item| BuildCache {
        id: short(&item.id),
        parents: None,
        kind: item.kind.to_owned(),
        description: item.description,
        in_use: false,
        shared: item.shared,
        size: i64::try_from(item.size).unwrap_or(i64::MAX),
        created_at: item.created.to_string(),
        last_used_at: Some(item.last_used.to_string()),
        usage_count: i64::try_from(item.uses).unwrap_or(i64::MAX),
    };
    items(inner).into_iter().map(document).collect()
}

/// Removes what the wishes leave to be removed, what was used longest ago first.
pub(super) fn prune(inner: &Inner, wishes: &PruneWishes) -> Result<BuildPruneResponse> {
    let (deleted, space) = remove(inner, wishes)?;
    let caches_deleted = (!deleted.is_empty()).then_some(deleted);
    let attributes = [("reclaimed".to_owned(), space.to_string())].into();
    inner.events.publish(crate::event::EventType::Builder, "prune", "", attributes);
    Ok(BuildPruneResponse { caches_deleted, space_reclaimed: space })
}

/// The same, when nobody asked for it: nothing is told of, and nothing touched when nothing has to go.
pub(super) fn prune_quietly(inner: &Inner, wishes: &PruneWishes) -> Result<()> {
    remove(inner, wishes).map(|_| ())
}

/// Removes it; what went, and how many bytes.
fn remove(inner: &Inner, wishes: &PruneWishes) -> Result<(Vec<String>, u64)> {
    wishes.filters.allow_only(FILTERS).map_err(Error::from_kinded)?;
    let age = age(&wishes.filters)?;
    let now = Timestamp::now();
    // What was of use since the oldest build began may be in use.
    let begun = inner.build.begun.oldest();
    let mut items = items(inner);
    items.reverse();
    let mut left: u64 = items.iter().filter(|item| !item.shared).map(|item| item.size).sum();
    let (mut keys, mut deleted, mut space) = (Vec::new(), Vec::new(), 0);
    for item in items {
        let in_use = item.folder.is_none() && begun.is_some_and(|begun| item.last_used >= begun);
        let young = in_use || age.is_some_and(|age| now.since(item.last_used) < age);
        let unwanted = !wishes.all && item.shared;
        if young || unwanted || !chosen(&item, &wishes.filters) || (wishes.keep > 0 && left <= wishes.keep) {
            continue;
        }
        if !item.shared {
            space += item.size;
            left = left.saturating_sub(item.size);
        }
        match &item.folder {
            Some(folder) => remove_folder(folder)?,
            None => keys.push(item.id.clone()),
        }
        deleted.push(short(&item.id));
    }
    let everything = wishes.all && wishes.keep == 0 && wishes.filters.is_empty();
    if !deleted.is_empty() || (everything && inner.storage.build_cache.knows_steps()) {
        inner.storage.build_cache.forget(&keys, &inner.storage.images)?;
        inner.storage.sweep();
    }
    Ok((deleted, space))
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(25).collect()
}

fn items(inner: &Inner) -> Vec<Item> {
    let images = &inner.storage.images;
    let of_images: HashSet<oci::Digest> =
        images.list().iter().flat_map(|image| images.blobs(&image.id)).collect();
    let mut seen = HashSet::new();
    let result = |(key, entry): (String, Entry)| {
        let blob = entry.record.layer.as_ref().map(|layer| layer.blob.digest.clone());
        // Results of several keys may be one layer: it is counted once.
        let again = blob.as_ref().is_some_and(|blob| !seen.insert(blob.clone()));
        let shared = again || blob.is_some_and(|blob| of_images.contains(&blob));
        Item {
            id: key,
            kind: "regular",
            size: entry.size(),
            shared,
            created: entry.record.created,
            last_used: entry.last_used,
            uses: entry.uses,
            description: entry.description,
            folder: None,
        }
    };
    let mut items: Vec<Item> = inner.storage.build_cache.list().into_iter().map(result).collect();
    items.extend(folders(&inner.layout.cache_mounts_dir(), "exec.cachemount", "cached mount"));
    let contexts = folders(&inner.layout.build_contexts_dir(), "source.local", "local source for");
    // What a build is using cannot go.
    let free = |item: &Item| item.folder.as_ref().is_none_or(|path| !inner.build.kept.is_used(path));
    items.extend(contexts.into_iter().filter(free));
    items.sort_by_key(|item| std::cmp::Reverse(item.last_used));
    items
}

/// Folders that stay, each with a file beside it that says what it is.
fn folders(base: &Path, kind: &'static str, words: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_dir() {
            continue;
        }
        let time = |time: std::io::Result<std::time::SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            let seconds = since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or_default());
            Timestamp::from_unix(seconds, 0)
        };
        let id = std::fs::read_to_string(path.with_extension("id")).unwrap_or_default();
        items.push(Item {
            id: entry.file_name().to_string_lossy().into_owned(),
            kind,
            description: format!("{words} {id}").trim_end().to_owned(),
            size: measured(&path),
            shared: false,
            created: time(metadata.created()),
            last_used: time(metadata.modified()),
            uses: 0,
            folder: Some(path),
        });
    }
    items
}

fn measured(folder: &Path) -> u64 {
    let root = linux::root::RootDir::open(folder)
        .and_then(|root| root.open_file(".", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()));
    let usage = root.and_then(|root| snapshot::usage::measure(std::os::fd::AsFd::as_fd(&root)));
    usage.map_or(0, |usage| usage.disk)
}

/// Removes a folder that builds have left, with what says what it was.
pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    // The name of what it was goes first; a folder without one is still found.
    for beside in ["id", super::caches::IMPORTED] {
        let _ = std::fs::remove_file(folder.with_extension(beside));
    }
    std::fs::remove_dir_all(folder)
        .map_err(|error| Error::caused(format!("removing {}", folder.display()), error))
}

pub(super) fn age(filters: &model::Filters) -> Result<Option<std::time::Duration>> {
    let given = filters.get("until").chain(filters.get("unused-for")).next();
    let parsed = given.map(|text| {
        model::duration::parse(text).map_err(|error| {
            Error::invalid(format!("\"until\" filter expects a duration (e.g., '24h'): {error}"))
        })
    });
    parsed.transpose()
}

fn chosen(item: &Item, filters: &model::Filters) -> bool {
    let fits =
        |name: &str, fits: &dyn Fn(&str) -> bool| !filters.contains(name) || filters.get(name).any(fits);
    let is = |value: bool, wanted: &str| model::boolean::parse(wanted) == Some(value);
    fits("id", &|wanted| short(&item.id).starts_with(wanted))
        && fits("type", &|wanted| item.kind == wanted)
        && fits("description", &|wanted| item.description.contains(wanted))
        && fits("shared", &|wanted| is(item.shared, wanted))
        && fits("private", &|wanted| is(!item.shared, wanted))
        && fits("inuse", &|wanted| is(false, wanted))
        && fits("parent", &|_| false)
}
