//! Changes of several tables that become visible together or not at all.

use serde::Serialize;

use crate::backend::{Change, Durability};
use crate::{Store, StoreError, Table};

/// Collected changes; nothing happens until one of the commits is called.
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction<'store> {
    store: &'store Store,
    changes: Vec<Change>,
}

impl<'store> Transaction<'store> {
    pub(crate) fn new(store: &'store Store) -> Self {
        Self { store, changes: Vec::new() }
    }

    /// Sets a record.
    pub fn put<V: Serialize>(
        &mut self,
        table: &Table<V>,
        key: &str,
        value: &V,
    ) -> Result<&mut Self, StoreError> {
        let value = table.encode(key, value)?;
        self.changes.push(Change::Put { table: table.name(), key: key.to_owned(), value });
        Ok(self)
    }

    /// Removes a record; a missing one is no error.
    pub fn delete<V>(&mut self, table: &Table<V>, key: &str) -> &mut Self {
        self.changes.push(Change::Delete { table: table.name(), key: key.to_owned() });
        self
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns when the changes are on disk.
    pub fn commit_durable(self) -> Result<(), StoreError> {
        self.commit(Durability::Durable)
    }

    /// Returns when the changes are visible; see the crate's description for what may be lost.
    pub fn commit_relaxed(self) -> Result<(), StoreError> {
        self.commit(Durability::Relaxed)
    }

    /// Hands the changes over and returns at once: they become visible in their turn, and nobody hears of it when they
    /// do not. For what nothing rests on.
    pub fn hand_over(self) -> Result<(), StoreError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.store.backend().hand_over(self.changes)
    }

    fn commit(self, durability: Durability) -> Result<(), StoreError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.store.backend().commit(self.changes, durability)
    }
}
