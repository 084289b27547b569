//! Locks by name: one holder for each key, nothing kept for keys that nobody holds.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Condvar, Mutex, PoisonError};

/// Keys that are held.
#[derive(Debug)]
pub(crate) struct Locks<K> {
    held: Mutex<HashSet<K>>,
    freed: Condvar,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { held: Mutex::default(), freed: Condvar::default() }
    }
}

impl<K: Eq + Hash + Clone> Locks<K> {
    /// Waits until nobody holds the key, and holds it.
    pub(crate) fn hold(&self, key: &K) -> Held<'_, K> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while held.contains(key) {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        held.insert(key.clone());
        Held { locks: self, key: key.clone() }
    }
}

/// A held key; dropping it lets go.
#[derive(Debug)]
pub(crate) struct Held<'l, K: Eq + Hash> {
    locks: &'l Locks<K>,
    key: K,
}

impl<K: Eq + Hash> Drop for Held<'_, K> {
    fn drop(&mut self) {
        self.locks.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.locks.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_nothing_is_kept() {
        let locks = Locks::<u8>::default();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _held = locks.hold(&1);
                        let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(before, 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(locks.held.lock().unwrap().is_empty());
    }
}
