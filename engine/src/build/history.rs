//! The history of builds: what was asked for, how it ended, and what it said, kept for a while after their end.
//!
//! A record is seen as soon as its build has ended; it is on disk a moment later, so that no build waits for that.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use oci::Digest;
use serde::{Deserialize, Serialize};
use store::{Durability, Store, Table};

use super::Builds;
use crate::error::Context;
use crate::layout::Layout;
use crate::{Error, Result};

const TABLE: Table<PastBuild> = Table::new("build-history");

/// Builds that are remembered; those that ended first go first, pinned ones only when there is nothing else.
const MOST: usize = 100;
/// Bytes of what all of them said together.
const MOST_BYTES: u64 = 128 << 20;
/// Bytes of one value among what a build was asked for; longer ones are cut.
const LONGEST_VALUE: usize = 8 << 10;
/// Values among what one build was asked for, and among what it answered.
const MOST_VALUES: usize = 1000;

/// A build that has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PastBuild {
    /// Its client's name of it.
    pub reference: String,
    /// What read its description, such as `dockerfile.v0`.
    pub frontend: String,
    /// What that was told.
    pub attributes: BTreeMap<String, String>,
    /// What became of the result: kinds with their options.
    pub exporters: Vec<(String, BTreeMap<String, String>)>,
    /// When it began.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<PastError>,
    /// What the exporters had to say.
    pub response: BTreeMap<String, String>,
    /// Its steps.
    pub steps: PastSteps,
    /// It stays when others go.
    pub pinned: bool,
    /// Bytes of what it said.
    pub log_size: u64,
}

/// Why a build failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastError {
    /// The protocol's number.
    pub code: i32,
    /// For people.
    pub message: String,
    /// What else is known: types with their values.
    pub details: Vec<(String, Vec<u8>)>,
}

/// How many steps there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastSteps {
    /// All.
    pub total: usize,
    /// Known from before.
    pub cached: usize,
    /// Ended.
    pub completed: usize,
    /// Warnings about the Dockerfile.
    pub warnings: usize,
}

/// All builds that are remembered.
pub(crate) struct History {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    folder: PathBuf,
    /// By reference.
    known: Mutex<BTreeMap<String, PastBuild>>,
    /// Held while the disk is made to say the same.
    writing: Mutex<()>,
}

impl History {
    /// Reads what is remembered. What cannot be read is forgotten: nothing depends on it.
    pub(crate) fn open(store: &Store, layout: &Layout) -> Result<Self> {
        let listed = store.list_readable(&TABLE).map_err(Error::from_kinded)?;
        let mut transaction = store.transaction();
        for (key, _) in &listed.unreadable {
            transaction.delete(&TABLE, key);
        }
        if !transaction.is_empty() {
            transaction.commit_relaxed().map_err(Error::from_kinded)?;
        }
        let known = listed.records.into_iter().collect();
        let folder = layout.build_history_dir();
        let shared =
            Shared { store: store.clone(), folder, known: Mutex::new(known), writing: Mutex::default() };
        shared.sweep();
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PastBuild>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of what a build said.
    fn log_path(&self, reference: &str) -> PathBuf {
        self.folder.join(Digest::of(reference.as_bytes()).hex())
    }

    /// Takes a record in; what has to go for it.
    fn admit(&self, build: PastBuild) -> Vec<String> {
        let mut known = self.lock();
        known.insert(build.reference.clone(), build);
        let mut order: Vec<(bool, Option<Timestamp>, u64, String)> = known
            .values()
            .map(|build| (build.pinned, build.completed, build.log_size, build.reference.clone()))
            .collect();
        order.sort();
        let mut bytes: u64 = order.iter().map(|(_, _, size, _)| size).sum();
        let mut gone = Vec::new();
        for (_, _, size, reference) in order {
            if known.len() <= MOST && bytes <= MOST_BYTES {
                break;
            }
            bytes = bytes.saturating_sub(size);
            known.remove(&reference);
            gone.push(reference);
        }
        gone
    }

    /// Makes the disk say what memory says of some builds.
    fn write(&self, references: &[String], log: Option<(&str, &[u8])>) -> Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = self.store.transaction();
        let mut gone = Vec::new();
        for reference in references {
            let build = self.lock().get(reference).cloned();
            match build {
                Some(build) => {
                    transaction.put(&TABLE, reference, &build).map_err(Error::from_kinded)?;
                }
                None => {
                    transaction.delete(&TABLE, reference);
                    gone.push(reference);
                }
            }
        }
        transaction.commit_durable().map_err(Error::from_kinded)?;
        for reference in gone {
            store::file::remove(&self.log_path(reference)).map_err(Error::from_kinded)?;
        }
        // After its record: without one it would be nobody's.
        let Some((reference, log)) = log.filter(|(reference, _)| self.lock().contains_key(*reference)) else {
            return Ok(());
        };
        store::file::make_private_dir(&self.folder).doing(|| format!("making {}", self.folder.display()))?;
        store::file::replace(&self.log_path(reference), log, Durability::Relaxed).map_err(Error::from_kinded)
    }

    /// Removes what is left of builds that are not remembered.
    fn sweep(&self) {
        let known = self.lock();
        let wanted: HashSet<PathBuf> = known.keys().map(|reference| self.log_path(reference)).collect();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            // What cannot be removed now is found by the next start.
            if !wanted.contains(&entry.path()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Builds<'_> {
    /// Remembers a build with what it said, instead of an earlier one of the same name.
    pub fn remember(&self, mut build: PastBuild, log: Vec<u8>) {
        build.log_size = log.len() as u64;
        shorten(&mut build.attributes);
        shorten(&mut build.response);
        let shared = Arc::clone(&self.inner.storage.build_history.shared);
        let reference = build.reference.clone();
        let mut changed = shared.admit(build);
        changed.push(reference.clone());
        let write = move || {
            if let Err(error) = shared.write(&changed, Some((&reference, &log))) {
                eprintln!("build {reference}: its history was not kept: {}", model::error::chain(&error));
            }
        };
        if std::thread::Builder::new().name("build-history".into()).spawn(write).is_err() {
            eprintln!("a build's history was not kept: no thread is to be had");
        }
    }

    /// The builds that are remembered, in no particular order.
    pub fn past(&self) -> Vec<PastBuild> {
        self.inner.storage.build_history.shared.lock().values().cloned().collect()
    }

    /// What a build said, in the form it was remembered in; none when it is not remembered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn past_log(&self, reference: &str) -> Result<Option<Vec<u8>>> {
        let shared = &self.inner.storage.build_history.shared;
        if !shared.lock().contains_key(reference) {
            return Ok(None);
        }
        // It may be about to be written.
        let _writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::read(shared.log_path(reference)) {
            Ok(log) => Ok(Some(log)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(Vec::new())),
            Err(error) => Err(Error::caused(format!("reading what build {reference} said"), error)),
        }
    }

    /// Forgets a build; whether it was remembered.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn forget(&self, reference: &str) -> Result<bool> {
        let shared = &self.inner.storage.build_history.shared;
        if shared.lock().remove(reference).is_none() {
            return Ok(false);
        }
        shared.write(&[reference.to_owned()], None)?;
        Ok(true)
    }

    /// Makes a build stay when others go, or not; whether it is remembered.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn pin(&self, reference: &str, pinned: bool) -> Result<bool> {
        let shared = &self.inner.storage.build_history.shared;
        match shared.lock().get_mut(reference) {
            Some(build) => build.pinned = pinned,
            None => return Ok(false),
        }
        shared.write(&[reference.to_owned()], None)?;
        Ok(true)
    }
}

/// Clients may send as much as they like; not all of it has to be kept.
fn shorten(values: &mut BTreeMap<String, String>) {
    while values.len() > MOST_VALUES {
        values.pop_last();
    }
    for value in values.values_mut() {
        let mut length = value.len().min(LONGEST_VALUE);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        value.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(reference: &str, second: i64, log_size: u64) -> PastBuild {
        let completed = Some(Timestamp::from_unix(second, 0));
        PastBuild { reference: reference.into(), completed, log_size, ..PastBuild::default() }
    }

    fn history(name: &str) -> (PathBuf, Store, History) {
        let place = std::env::temp_dir().join(format!("wharf-history-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("made");
        let store = Store::in_memory();
        let history = History::open(&store, &Layout::new(&place, &place)).expect("opens");
        (place, store, history)
    }

    #[test]
    fn the_oldest_go_first_and_pinned_ones_last() {
        let (place, _, history) = history("order");
        let shared = &history.shared;
        assert!(shared.admit(PastBuild { pinned: true, ..build("pinned", 0, 1) }).is_empty());
        for number in 1..MOST {
            let number = i64::try_from(number).expect("small");
            assert!(shared.admit(build(&number.to_string(), number, 1)).is_empty());
        }
        assert_eq!(shared.admit(build("new", 1000, 1)), ["1"]);
        let gone = shared.admit(build("large", 1001, MOST_BYTES - 50));
        assert_eq!(gone.len(), 50, "bytes count, too: {gone:?}");
        assert!(shared.lock().contains_key("pinned") && shared.lock().contains_key("large"));
        std::fs::remove_dir_all(place).expect("removed");
    }

    #[test]
    fn records_and_logs_are_there_after_a_restart_and_go_together() {
        let (place, store, history) = history("restart");
        history.shared.admit(build("../a", 5, 3));
        history.shared.write(&["../a".to_owned()], Some(("../a", b"log"))).expect("written");
        let again = History::open(&store, &Layout::new(&place, &place)).expect("opens");
        assert_eq!(again.shared.lock().get("../a"), Some(&build("../a", 5, 3)));
        let path = again.shared.log_path("../a");
        assert_eq!(std::fs::read(&path).expect("there"), b"log");
        assert_eq!(path.parent(), Some(again.shared.folder.as_path()), "names do not leave the folder");
        let orphan = again.shared.log_path("other");
        std::fs::write(&orphan, "of nobody").expect("written");
        again.shared.sweep();
        assert!(path.exists() && !orphan.exists());
        again.shared.lock().clear();
        again.shared.write(&["../a".to_owned()], None).expect("written");
        assert!(!path.exists());
        let last = History::open(&store, &Layout::new(&place, &place)).expect("opens");
        assert!(last.shared.lock().is_empty());
        std::fs::remove_dir_all(place).expect("removed");
    }

    #[test]
    fn what_clients_say_is_cut() {
        let mut values: BTreeMap<String, String> =
            (0..MOST_VALUES + 5).map(|number| (format!("{number:05}"), String::new())).collect();
        values.insert("00000".into(), "é".repeat(LONGEST_VALUE));
        shorten(&mut values);
        assert_eq!((values.len(), values["00000"].len()), (MOST_VALUES, LONGEST_VALUE));
    }
}
