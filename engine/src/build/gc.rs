//! What builds have left goes by itself when it is more than the configuration lets them keep, what was used longest
//! ago first; what a build is using stays.
//!
//! It is looked at a moment after a build has ended, an image was removed (what it shared with the cache is the cache's
//! alone then), the engine has started or its configuration changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;

use super::PruneWishes;
use crate::engine::Inner;

/// How soon it is looked at: for all that happens meanwhile.
const SOON: Duration = Duration::from_secs(1);

/// One rule: it is kept when all of it is little enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheRule {
    /// What images have goes, too.
    pub all: bool,
    /// Bytes that may stay.
    pub keep: u64,
    /// Docker's filters.
    pub filters: model::Filters,
}

impl CacheRule {
    /// Whether its filters are known and make sense.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> crate::Result<()> {
        self.filters.allow_only(super::FILTERS).map_err(crate::Error::from_kinded)?;
        super::prune::age(&self.filters).map(|_| ())
    }

    /// How long it must have been unused.
    pub fn age(&self) -> Option<Duration> {
        super::prune::age(&self.filters).ok().flatten()
    }
}

/// When builds began that are not over.
#[derive(Default)]
pub(super) struct Begun {
    times: Mutex<BTreeMap<u64, Timestamp>>,
    /// It is going to be looked whether something has to go.
    looking: AtomicBool,
}

/// A build that is not over; when it is, it is looked whether something has to go.
pub(super) struct Running<'e> {
    inner: &'e Arc<Inner>,
    number: u64,
}

impl<'e> Running<'e> {
    pub(super) fn new(inner: &'e Arc<Inner>) -> Self {
        Self { inner, number: inner.build.begun.begin() }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.build.begun.end(self.number);
        schedule(self.inner);
    }
}

impl Begun {
    fn begin(&self) -> u64 {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let number = times.last_key_value().map_or(0, |(last, _)| last + 1);
        times.insert(number, Timestamp::now());
        number
    }

    fn end(&self, number: u64) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Since when results that were of use may be in use still.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }
}

/// Looks soon whether something has to go.
pub(crate) fn schedule(inner: &Arc<Inner>) {
    if inner.config().build_cache.is_empty() || inner.build.begun.looking.swap(true, Ordering::SeqCst) {
        return;
    }
    let held = Arc::clone(inner);
    inner.worker.run_after(SOON, move || {
        held.build.begun.looking.store(false, Ordering::SeqCst);
        if let Err(error) = collect(&held) {
            eprintln!("removing what builds have left: {}", model::error::chain(&error));
        }
    });
}

fn collect(inner: &Inner) -> crate::Result<()> {
    let rules = inner.config().build_cache.clone();
    for rule in rules {
        let wishes = PruneWishes { all: rule.all, keep: rule.keep.max(1), filters: rule.filters };
        super::prune::prune_quietly(inner, &wishes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_build_counts_as_long_as_it_lasts() {
        let begun = Begun::default();
        assert_eq!(begun.oldest(), None);
        let first = begun.begin();
        let time = begun.oldest().expect("one runs");
        let second = begun.begin();
        assert_eq!(begun.oldest(), Some(time));
        begun.end(first);
        assert!(begun.oldest().is_some_and(|oldest| oldest >= time));
        begun.end(second);
        assert_eq!(begun.oldest(), None);
    }
}
