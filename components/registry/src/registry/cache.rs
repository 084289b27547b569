//! Manifests that were asked for lately, whole and in memory, so that a pull's first request touches no storage.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use oci::digest::Digest;

/// Bytes of manifests kept at most.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Manifests kept at most.
const MOST: usize = 4096;
/// Larger ones are read anew each time.
const LARGEST: usize = 64 * 1024;

/// A manifest as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media: String,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

/// Manifests by repository, then by tag or digest as asked for.
#[derive(Debug, Default)]
pub(crate) struct Cache(RwLock<Held>);

#[derive(Debug, Default)]
struct Held {
    repositories: HashMap<String, HashMap<String, Arc<Manifest>>>,
    count: usize,
    bytes: usize,
    /// Counts what was forgotten, so that nobody keeps what was read before a change.
    generation: u64,
}

impl Cache {
    pub(crate) fn get(&self, name: &str, reference: &str) -> Option<Arc<Manifest>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.repositories.get(name)?.get(reference).cloned()
    }

    /// To be asked before the storage is read for [`Cache::keep`].
    pub(crate) fn generation(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Keeps a manifest that was read since that generation.
    pub(crate) fn keep(&self, name: &str, reference: &str, manifest: &Arc<Manifest>, generation: u64) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let size = manifest.bytes.len();
        if held.generation != generation || size > LARGEST {
            return;
        }
        if held.count >= MOST || held.bytes + size > MOST_BYTES {
            *held = Held { generation, ..Held::default() };
        }
        let repository = held.repositories.entry(name.to_owned()).or_default();
        if repository.insert(reference.to_owned(), Arc::clone(manifest)).is_none() {
            held.count += 1;
            held.bytes += size;
        }
    }

    /// Forgets a repository, since something in it changes. To be called after the change is stored.
    pub(crate) fn forget(&self, name: &str) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        held.generation += 1;
        if let Some(gone) = held.repositories.remove(name) {
            held.count -= gone.len();
            held.bytes -= gone.values().map(|manifest| manifest.bytes.len()).sum::<usize>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(size: usize) -> Arc<Manifest> {
        let bytes = vec![b'x'; size];
        Arc::new(Manifest { digest: Digest::of(&bytes), media: "m".to_owned(), bytes })
    }

    #[test]
    fn what_changed_is_forgotten_and_not_kept_by_late_readers() {
        let cache = Cache::default();
        let before = cache.generation();
        cache.keep("a", "latest", &manifest(5), before);
        assert!(cache.get("a", "latest").is_some());
        cache.forget("a");
        assert!(cache.get("a", "latest").is_none());
        cache.keep("a", "latest", &manifest(5), before);
        assert!(cache.get("a", "latest").is_none(), "read before the change");
        assert_eq!(cache.0.read().unwrap().bytes, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::default();
        cache.keep("a", "large", &manifest(LARGEST + 1), 0);
        assert!(cache.get("a", "large").is_none());
        for number in 0..200 {
            cache.keep("a", &number.to_string(), &manifest(LARGEST), 0);
            assert!(cache.0.read().unwrap().bytes <= MOST_BYTES);
        }
        assert!(cache.get("a", "199").is_some());
    }
}
