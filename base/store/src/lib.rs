//! Durable typed tables and files that are replaced in one step.
//!
//! Purpose: what the engine has acknowledged survives kill -9 and a power cut, and nothing half-made is ever seen.
//! Owns: the database file, its one writer thread (changes that wait together share one commit), the schema version
//! of every value, and the write-fsync-rename procedure for single files.
//! Must not know: what the records mean; each component declares its own `Table` with its own record type.
//!
//! A value is JSON behind its schema version (`{"v":1,"d":...}`), so that a later release reads what this one wrote.
//! `commit_durable` returns when the change is on disk; `commit_relaxed` when it is visible (kill -9 of the engine
//! may take it, the next durable commit of anybody keeps it): for what can be found out again; `hand_over` does not wait
//! even for that.
//!
//! Readers see the last finished commit and never wait for the writer. Who changes a record from what it read holds
//! a lock of its own around both: this crate orders commits, not intentions.
//!
//! Reading order: `table`, `transaction`, `stores`, then `redb_backend` with its `writer` and `reserve`,
//! and `memory_backend`; `file` stands alone.

#![forbid(unsafe_code)]

pub mod backend;
pub mod error;
pub mod file;
mod memory_backend;
mod redb_backend;
mod reserve;
mod stores;
pub mod table;
pub mod transaction;
mod writer;

pub use backend::{Backend, Change, Durability};
pub use error::StoreError;
pub use stores::{Listed, Store};
pub use table::Table;
pub use transaction::Transaction;
