//! Tables in memory.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::{Backend, Change, Durability, StoreError};

/// Tables that end with the process.
#[derive(Default)]
pub(crate) struct MemoryBackend {
    tables: RwLock<BTreeMap<&'static str, BTreeMap<String, Vec<u8>>>>,
}

impl Backend for MemoryBackend {
    fn get(&self, table: &'static str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Ok(tables.get(table).and_then(|table| table.get(key)).cloned())
    }

    fn scan(&self, table: &'static str, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = tables.get(table) else { return Ok(Vec::new()) };
        let entries = table.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, changes: Vec<Change>, _durability: Durability) -> Result<(), StoreError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { table, key, value } => {
                    tables.entry(table).or_default().insert(key, value);
                }
                Change::Delete { table, key } => {
                    tables.entry(table).or_default().remove(&key);
                }
            }
        }
        Ok(())
    }
}
