//! The history of builds: what was asked for, how it ended, and what it said, kept for a while after their end.
//!
//! A record is seen as soon as its build has ended; it is in its file a moment later, so that no build waits for that.
//! Nobody waits for the disk either: a power cut may lose what the last builds said, never what they made.

mod files;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::Durability;

use self::files::Files;
use super::Builds;
use crate::Result;
use crate::layout::Layout;

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
    files: Files,
    state: Mutex<State>,
    /// Held while files change.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// By reference.
    known: BTreeMap<String, PastBuild>,
    /// What builds said, as long as it is in no file.
    logs: BTreeMap<String, Arc<Vec<u8>>>,
}

impl History {
    /// Reads what is remembered. What cannot be read is forgotten: nothing depends on it.
    pub(crate) fn open(layout: &Layout) -> Result<Self> {
        let (files, known) = Files::open(layout.build_history_dir())?;
        let state = Mutex::new(State { known, ..State::default() });
        Ok(Self { shared: Arc::new(Shared { files, state, writing: Mutex::default() }) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a build in; what has to go for it.
    fn admit(&self, build: PastBuild, log: Vec<u8>) -> Vec<String> {
        let mut state = self.lock();
        state.logs.insert(build.reference.clone(), Arc::new(log));
        state.known.insert(build.reference.clone(), build);
        let known = &state.known;
        let mut order: Vec<(bool, Option<Timestamp>, u64, String)> = known
            .values()
            .map(|build| (build.pinned, build.completed, build.log_size, build.reference.clone()))
            .collect();
        order.sort();
        let mut bytes: u64 = order.iter().map(|(_, _, size, _)| size).sum();
        let mut gone = Vec::new();
        for (_, _, size, reference) in order {
            if state.known.len() <= MOST && bytes <= MOST_BYTES {
                break;
            }
            bytes = bytes.saturating_sub(size);
            state.known.remove(&reference);
            state.logs.remove(&reference);
            gone.push(reference);
        }
        gone
    }

    /// Makes the files say what memory says of some builds.
    fn write(&self, references: &[String], durability: Durability) -> Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for reference in references {
            let (build, log) = {
                let state = self.lock();
                (state.known.get(reference).cloned(), state.logs.get(reference).cloned())
            };
            let Some(build) = build else {
                self.files.remove(reference, durability)?;
                continue;
            };
            let log = log.map_or_else(|| self.files.log(reference).map(Arc::new), Ok)?;
            self.files.write(&build, &log, durability)?;
            let mut state = self.lock();
            // A build may have ended again meanwhile, under the same name.
            if state.logs.get(reference).is_some_and(|current| Arc::ptr_eq(current, &log)) {
                state.logs.remove(reference);
            }
        }
        Ok(())
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
        let mut changed = shared.admit(build, log);
        changed.push(reference.clone());
        self.inner.worker.run(move || {
            if let Err(error) = shared.write(&changed, Durability::Relaxed) {
                eprintln!("build {reference}: its history was not kept: {}", model::error::chain(&error));
            }
        });
    }

    /// The builds that are remembered, in no particular order.
    pub fn past(&self) -> Vec<PastBuild> {
        self.inner.storage.build_history.shared.lock().known.values().cloned().collect()
    }

    /// What a build said, in the form it was remembered in; none when it is not remembered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn past_log(&self, reference: &str) -> Result<Option<Vec<u8>>> {
        let shared = &self.inner.storage.build_history.shared;
        let state = shared.lock();
        if let Some(log) = state.logs.get(reference) {
            return Ok(Some(log.to_vec()));
        }
        if !state.known.contains_key(reference) {
            return Ok(None);
        }
        drop(state);
        shared.files.log(reference).map(Some)
    }

    /// Forgets a build; whether it was remembered.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn forget(&self, reference: &str) -> Result<bool> {
        let shared = &self.inner.storage.build_history.shared;
        let mut state = shared.lock();
        state.logs.remove(reference);
        if state.known.remove(reference).is_none() {
            return Ok(false);
        }
        drop(state);
        shared.write(&[reference.to_owned()], Durability::Durable)?;
        Ok(true)
    }

    /// Makes a build stay when others go, or not; whether it is remembered.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn pin(&self, reference: &str, pinned: bool) -> Result<bool> {
        let shared = &self.inner.storage.build_history.shared;
        match shared.lock().known.get_mut(reference) {
            Some(build) => build.pinned = pinned,
            None => return Ok(false),
        }
        shared.write(&[reference.to_owned()], Durability::Durable)?;
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
    use std::path::{Path, PathBuf};

    use super::*;

    fn build(reference: &str, second: i64, log_size: u64) -> PastBuild {
        let completed = Some(Timestamp::from_unix(second, 0));
        PastBuild { reference: reference.into(), completed, log_size, ..PastBuild::default() }
    }

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("wharf-history-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("made");
        place
    }

    fn history(place: &Path) -> History {
        History::open(&Layout::new(place, place)).expect("opens")
    }

    #[test]
    fn the_oldest_go_first_and_pinned_ones_last() {
        let place = place("order");
        let shared = history(&place).shared;
        let admit = |build| shared.admit(build, Vec::new());
        assert!(admit(PastBuild { pinned: true, ..build("pinned", 0, 1) }).is_empty());
        for number in 1..MOST {
            let number = i64::try_from(number).expect("small");
            assert!(admit(build(&number.to_string(), number, 1)).is_empty());
        }
        assert_eq!(admit(build("new", 1000, 1)), ["1"]);
        let gone = admit(build("large", 1001, MOST_BYTES - 50));
        assert_eq!(gone.len(), 50, "bytes count, too: {gone:?}");
        let state = shared.lock();
        assert!(state.known.contains_key("pinned") && state.known.contains_key("large"));
        assert_eq!(state.logs.len(), state.known.len());
        drop(state);
        std::fs::remove_dir_all(place).expect("removed");
    }

    #[test]
    fn records_and_logs_are_there_after_a_restart_and_go_together() {
        let place = place("restart");
        let write = |history: &History, reference: &str| {
            history.shared.write(&[reference.to_owned()], Durability::Relaxed).expect("written");
        };
        let first = history(&place);
        first.shared.admit(build("../a\n", 5, 3), b"log\nof a\n".to_vec());
        write(&first, "../a\n");
        assert!(first.shared.lock().logs.is_empty(), "it is in its file now");
        let again = history(&place);
        assert_eq!(again.shared.lock().known.get("../a\n"), Some(&build("../a\n", 5, 3)));
        assert_eq!(again.shared.files.log("../a\n").expect("read"), b"log\nof a\n");
        // Its record changes, what it said stays.
        again.shared.lock().known.get_mut("../a\n").expect("known").pinned = true;
        write(&again, "../a\n");
        let path = again.shared.files.path("../a\n");
        let folder = path.parent().expect("a folder").to_owned();
        std::fs::copy(&path, again.shared.files.path("other")).expect("copied");
        std::fs::write(folder.join("stray"), "no record").expect("written");
        let third = history(&place);
        assert!(third.shared.lock().known["../a\n"].pinned);
        assert_eq!(third.shared.files.log("../a\n").expect("read"), b"log\nof a\n");
        assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 1, "names do not leave the folder");
        third.shared.lock().known.clear();
        write(&third, "../a\n");
        assert!(!path.exists() && history(&place).shared.lock().known.is_empty());
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
