//! Container records in the record store.

use container::store::{RecordTable, TableError};
use serde_json::value::RawValue;
use store::{Store, Table};

const TABLE: Table<Box<RawValue>> = Table::new("containers");

/// The table of durable container records.
#[derive(Debug)]
pub(crate) struct Records {
    store: Store,
}

impl Records {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

impl RecordTable for Records {
    fn load(&self) -> Result<Vec<(String, Vec<u8>)>, TableError> {
        let listed = self.store.list_readable(&TABLE)?;
        let readable = listed.records.into_iter().map(|(id, record)| (id, record.get().as_bytes().to_vec()));
        // Nothing is no record either: the containers know the id then, and leave what is there alone.
        let unreadable = listed.unreadable.into_iter().map(|(id, _)| (id, Vec::new()));
        Ok(readable.chain(unreadable).collect())
    }

    fn put(&self, id: &str, record: &[u8]) -> Result<(), TableError> {
        let raw = RawValue::from_string(String::from_utf8(record.to_vec())?)?;
        Ok(self.store.put(&TABLE, id, &raw)?)
    }

    fn put_relaxed(&self, id: &str, record: &[u8]) -> Result<(), TableError> {
        let raw = RawValue::from_string(String::from_utf8(record.to_vec())?)?;
        let mut transaction = self.store.transaction();
        transaction.put(&TABLE, id, &raw)?;
        Ok(transaction.commit_relaxed()?)
    }

    fn remove(&self, id: &str) -> Result<(), TableError> {
        Ok(self.store.delete(&TABLE, id)?)
    }
}
