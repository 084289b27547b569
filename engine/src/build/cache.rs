//! What builds have made before: results by their keys, in memory and in the record store.
//!
//! A result is on disk after the blobs it names are: a power cut then loses results, but never leaves one that names a
//! broken layer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use builder::solve::Record;
use builder::{Key, State as Layers};
use model::Timestamp;
use oci::Digest;
use serde::{Deserialize, Serialize};
use snapshot::Snapshots;
use store::{Store, Table};

use crate::engine::Inner;
use crate::{Error, Result};

const TABLE: Table<Entry> = Table::new("build-cache");
/// Steps that were done, by what tells them apart; they only decide what people are told.
const STEPS: Table<()> = Table::new("build-steps");

/// Results that are remembered at most; the ones unused for longest go first.
const MOST: usize = 50_000;
/// How long it may take until it is on disk that results were of use.
const NOTING: Duration = Duration::from_secs(1);

/// A remembered result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What came out.
    pub(crate) record: Record,
    /// Diff ids of the root it was done in, lowest first.
    pub(crate) below: Vec<Digest>,
    /// What it was, for people.
    pub(crate) description: String,
    /// When it was of use last.
    pub(crate) last_used: Timestamp,
    /// How often it was of use.
    pub(crate) uses: u64,
}

impl Entry {
    /// Bytes of its layer.
    pub(crate) fn size(&self) -> u64 {
        self.record.layer.as_ref().map_or(0, |layer| layer.blob.size)
    }
}

/// All of them.
pub(crate) struct Cache {
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// Not yet on disk.
    dirty: HashSet<String>,
    /// Some of them have layers that may not be on disk either.
    new_layers: bool,
    /// There is more to write than that something was of use.
    changed: bool,
    steps: HashSet<String>,
    new_steps: Vec<String>,
}

impl Cache {
    /// Reads what is remembered. What cannot be read is forgotten: it can be made again.
    pub(crate) fn open(store: &Store) -> Result<Self> {
        let listed = store.list_readable(&TABLE).map_err(Error::from_kinded)?;
        if !listed.unreadable.is_empty() {
            let mut transaction = store.transaction();
            for (key, _) in &listed.unreadable {
                transaction.delete(&TABLE, key);
            }
            transaction.commit_relaxed().map_err(Error::from_kinded)?;
        }
        let entries = listed.records.into_iter().collect();
        let steps = store.list_readable(&STEPS).map_err(Error::from_kinded)?;
        let steps = steps.records.into_iter().map(|(step, ())| step).collect();
        let state = State { entries, steps, ..State::default() };
        Ok(Self { store: store.clone(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blobs results are kept in.
    pub(crate) fn blobs(&self) -> HashSet<Digest> {
        let state = self.lock();
        let layers = state.entries.values().filter_map(|entry| entry.record.layer.as_ref());
        layers.map(|layer| layer.blob.digest.clone()).collect()
    }

    /// Chain ids of the layers results stand on and are.
    pub(crate) fn chains(&self) -> HashSet<Digest> {
        let state = self.lock();
        let whole = |entry: &Entry| {
            let layer = entry.record.layer.as_ref().map(|layer| layer.diff_id.clone());
            let ids: Vec<Digest> = entry.below.iter().cloned().chain(layer).collect();
            Snapshots::chains(&ids)
        };
        state.entries.values().flat_map(whole).collect()
    }

    /// A result whose layer is there.
    pub(super) fn find(&self, key: &Key, is_there: impl Fn(&builder::Layer) -> bool) -> Option<Record> {
        let mut state = self.lock();
        let entry = state.entries.get_mut(key.as_str())?;
        if !entry.record.layer.as_ref().is_none_or(is_there) {
            state.entries.remove(key.as_str());
            state.dirty.insert(key.as_str().to_owned());
            state.changed = true;
            return None;
        }
        entry.last_used = Timestamp::now();
        entry.uses += 1;
        let record = entry.record.clone();
        state.dirty.insert(key.as_str().to_owned());
        Some(record)
    }

    /// Whether a step was done before; from now on it was.
    pub(super) fn knows_step(&self, step: &str) -> bool {
        let mut state = self.lock();
        if state.steps.contains(step) {
            return true;
        }
        if state.steps.len() < MOST {
            state.steps.insert(step.to_owned());
            state.new_steps.push(step.to_owned());
        }
        false
    }

    /// Whether any step is known to have been done.
    pub(super) fn knows_steps(&self) -> bool {
        !self.lock().steps.is_empty()
    }

    /// Remembers a result.
    pub(super) fn keep(&self, key: &Key, record: &Record, root: &Layers, description: &str) {
        let entry = Entry {
            record: record.clone(),
            below: root.iter().map(|layer| layer.diff_id.clone()).collect(),
            description: description.to_owned(),
            last_used: Timestamp::now(),
            uses: 0,
        };
        let mut state = self.lock();
        state.entries.insert(key.as_str().to_owned(), entry);
        state.dirty.insert(key.as_str().to_owned());
        state.new_layers = true;
        state.changed = true;
    }

    /// Writes what is not on disk yet, once the blobs of new results are: what was only used has them there already.
    pub(crate) fn flush(&self, images: &::image::Images) -> Result<()> {
        let changes = self.lock().take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        if changes.new_layers
            && let Err(error) = images.content().sync()
        {
            let mut state = self.lock();
            (state.new_layers, state.changed) = (true, true);
            return Err(Error::from_kinded(error));
        }
        let mut transaction = self.store.transaction();
        for (key, entry) in &changes.entries {
            match entry {
                Some(entry) => transaction.put(&TABLE, key, entry).map_err(Error::from_kinded)?,
                None => transaction.delete(&TABLE, key),
            };
        }
        for step in &changes.steps {
            transaction.put(&STEPS, step, &()).map_err(Error::from_kinded)?;
        }
        transaction.commit_relaxed().map_err(Error::from_kinded)?;
        if changes.new_layers || changes.entries.iter().any(|(_, entry)| entry.is_none()) {
            images.set_pins(self.blobs());
        }
        Ok(())
    }

    /// All entries, the ones used last first.
    pub(crate) fn list(&self) -> Vec<(String, Entry)> {
        let state = self.lock();
        let mut entries: Vec<_> =
            state.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        entries.sort_by(|one, other| other.1.last_used.cmp(&one.1.last_used).then(one.0.cmp(&other.0)));
        entries
    }

    /// Forgets entries and which steps were done; the entries' blobs go with the next collection.
    pub(super) fn forget(&self, keys: &[String], images: &::image::Images) -> Result<()> {
        let mut transaction = self.store.transaction();
        {
            let mut state = self.lock();
            for key in keys {
                state.entries.remove(key);
                state.dirty.remove(key);
                transaction.delete(&TABLE, key);
            }
            for step in std::mem::take(&mut state.steps) {
                transaction.delete(&STEPS, &step);
            }
            state.new_steps.clear();
        }
        transaction.commit_durable().map_err(Error::from_kinded)?;
        images.set_pins(self.blobs());
        images.collect().map_err(Error::from_kinded)
    }
}

/// Writes what builds have made; that something was of use is noted in a moment, for all builds that come meanwhile.
pub(super) fn write(inner: &Arc<Inner>) -> Result<()> {
    let cache = &inner.storage.build_cache;
    if cache.lock().changed {
        return cache.flush(&inner.storage.images);
    }
    if inner.build.noting.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let held = Arc::clone(inner);
    inner.worker.run_after(NOTING, move || {
        held.build.noting.store(false, Ordering::SeqCst);
        if let Err(error) = held.storage.build_cache.flush(&held.storage.images) {
            eprintln!("noting what builds used: {}", model::error::chain(&error));
        }
    });
    Ok(())
}

/// What the record store does not know yet.
struct Changes {
    /// Results by their keys; none for those that are gone.
    entries: Vec<(String, Option<Entry>)>,
    new_layers: bool,
    steps: Vec<String>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.steps.is_empty()
    }
}

impl State {
    fn take_changes(&mut self) -> Changes {
        let gone = self.forget_oldest().into_iter().map(|key| (key, None));
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        let dirty = dirty.map(|key| {
            let entry = self.entries.get(&key).cloned();
            (key, entry)
        });
        let entries = gone.collect::<Vec<_>>().into_iter().chain(dirty).collect();
        let new_layers = std::mem::take(&mut self.new_layers);
        self.changed = false;
        Changes { entries, new_layers, steps: std::mem::take(&mut self.new_steps) }
    }

    fn forget_oldest(&mut self) -> Vec<String> {
        let surplus = self.entries.len().saturating_sub(MOST);
        if surplus == 0 {
            return Vec::new();
        }
        let mut ages: BTreeMap<(Timestamp, &String), ()> = BTreeMap::new();
        for (key, entry) in &self.entries {
            ages.insert((entry.last_used, key), ());
        }
        let gone: Vec<String> = ages.into_keys().take(surplus).map(|(_, key)| key.clone()).collect();
        for key in &gone {
            self.entries.remove(key);
            self.dirty.remove(key);
        }
        gone
    }
}
