//! What a key-value engine has to do to hold our tables.

use crate::StoreError;

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Set a value.
    Put {
        /// The table's name.
        table: &'static str,
        /// The key.
        key: String,
        /// The encoded value.
        value: Vec<u8>,
    },
    /// Remove a value; a missing one is no error.
    Delete {
        /// The table's name.
        table: &'static str,
        /// The key.
        key: String,
    },
}

/// When a commit returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// When it is visible to readers.
    Relaxed,
    /// When it is on disk.
    Durable,
}

/// Ordered tables of bytes with atomic commits over several tables. Two exist: redb on disk, and memory.
pub trait Backend: Send + Sync {
    /// The value of one key.
    fn get(&self, table: &'static str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// All entries whose key starts with the prefix, in key order, of one moment.
    fn scan(&self, table: &'static str, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Applies all changes in order, or none.
    fn commit(&self, changes: Vec<Change>, durability: Durability) -> Result<(), StoreError>;

    /// As a relaxed [`Self::commit`], without waiting for it where there is something to wait for.
    fn hand_over(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.commit(changes, Durability::Relaxed)
    }
}
