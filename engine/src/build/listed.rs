//! Builds that are under way, by their ids.

use std::sync::{Arc, PoisonError};

use super::Cancel;
use crate::engine::Inner;

/// A build that can be cancelled by its id, while it lasts.
pub(super) struct Listed<'e> {
    inner: &'e Inner,
    id: String,
    cancel: Cancel,
}

impl<'e> Listed<'e> {
    pub(super) fn new(inner: &'e Inner, id: &str, cancel: &Cancel) -> Self {
        if !id.is_empty() {
            let mut running = inner.build.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.insert(id.to_owned(), cancel.clone());
        }
        Self { inner, id: id.to_owned(), cancel: cancel.clone() }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut running = self.inner.build.running.lock().unwrap_or_else(PoisonError::into_inner);
        // A later build may have the same id already.
        if running.get(&self.id).is_some_and(|held| Arc::ptr_eq(&held.shared, &self.cancel.shared)) {
            running.remove(&self.id);
        }
    }
}
