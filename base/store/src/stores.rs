//! The store: tables of records over one backend.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memory_backend::MemoryBackend;
use crate::redb_backend::RedbBackend;
use crate::{Backend, StoreError, Table, Transaction};

/// Tables of records; clones share the same database, which is closed with the last of them.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// What [`Store::list_readable`] found.
#[derive(Debug)]
pub struct Listed<V> {
    /// Records with their keys.
    pub records: Vec<(String, V)>,
    /// Keys of records that cannot be read, and why.
    pub unreadable: Vec<(String, StoreError)>,
}

impl Store {
    /// Opens or makes the database `state.redb` in a directory (made 0700). One process at a time may have it open.
    /// A database that cannot be read is an error and stays untouched.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self::with_backend(RedbBackend::open(directory)?))
    }

    /// A store that lives as long as the process: for objects that die with it, and for tests.
    pub fn in_memory() -> Self {
        Self::with_backend(MemoryBackend::default())
    }

    /// A store over another engine.
    pub fn with_backend(backend: impl Backend + 'static) -> Self {
        Self { backend: Arc::new(backend) }
    }

    /// The record of one key.
    pub fn get<V: DeserializeOwned>(&self, table: &Table<V>, key: &str) -> Result<Option<V>, StoreError> {
        match self.backend.get(table.name(), key)? {
            Some(bytes) => table.decode(key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// All records with their keys, in key order.
    pub fn list<V: DeserializeOwned>(&self, table: &Table<V>) -> Result<Vec<(String, V)>, StoreError> {
        self.list_prefix(table, "")
    }

    /// All records that can be read, in key order, and why the others cannot. Those stay as they are.
    pub fn list_readable<V: DeserializeOwned>(&self, table: &Table<V>) -> Result<Listed<V>, StoreError> {
        let mut listed = Listed { records: Vec::new(), unreadable: Vec::new() };
        for (key, bytes) in self.backend.scan(table.name(), "")? {
            match table.decode(&key, &bytes) {
                Ok(value) => listed.records.push((key, value)),
                Err(error) => listed.unreadable.push((key, error)),
            }
        }
        Ok(listed)
    }

    /// The records whose keys start with a prefix, in key order.
    pub fn list_prefix<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        prefix: &str,
    ) -> Result<Vec<(String, V)>, StoreError> {
        let entries = self.backend.scan(table.name(), prefix)?;
        entries.into_iter().map(|(key, bytes)| table.decode(&key, &bytes).map(|value| (key, value))).collect()
    }

    /// Starts collecting changes.
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// Sets one record durably.
    pub fn put<V: Serialize>(&self, table: &Table<V>, key: &str, value: &V) -> Result<(), StoreError> {
        let mut transaction = self.transaction();
        transaction.put(table, key, value)?;
        transaction.commit_durable()
    }

    /// Removes one record durably.
    pub fn delete<V>(&self, table: &Table<V>, key: &str) -> Result<(), StoreError> {
        let mut transaction = self.transaction();
        transaction.delete(table, key);
        transaction.commit_durable()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Store")
    }
}

#[cfg(test)]
mod tests;
