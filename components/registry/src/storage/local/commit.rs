//! Rows of the tables: visible at once, durable at return, several waiting commits with one wait for the disk.
//!
//! ```text
//! commit --> journal (written) --> tables (visible) --> one flush of the journal for all that wait --> answered
//!                |
//!                '-- full, too long, broken --> tables (durable), and the journal begins again
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use store::{Store, Table};

use super::journal::{Journal, Row};
use super::{RECORDS, StorageError};

/// Where the tables stand in the journal.
const APPLIED: Table<u64> = Table::new("registry-journal");
const LAST: &str = "last";
/// The rows of small blobs, as texts.
const BLOB_ROWS: Table<Box<RawValue>> = Table::new("registry-blobs");
const FILE: &str = "journal";
/// More than there are records in a file.
const JUMP: u64 = 1 << 16;

/// The tables and their journal.
#[derive(Debug)]
pub(super) struct Committer {
    store: Store,
    path: PathBuf,
    /// Held from the journal to the tables, so that both have the same order.
    journal: Mutex<Journal>,
    file: File,
    flush: Mutex<Flush>,
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct Flush {
    /// All records up to this number are in the file, perhaps not on the disk.
    written: u64,
    /// All records up to this number are durable.
    durable: u64,
    /// Somebody waits for the disk, for everybody.
    busy: bool,
    /// The kernel could not write the file, and forgets what it could not write: only the tables can be relied on.
    broken: bool,
}

impl Committer {
    /// Opens the journal beside the tables, and brings into them what a crash kept out.
    pub(super) fn open(store: Store, root: &Path) -> Result<Self, StorageError> {
        let path = root.join(FILE);
        let applied = store.get(&APPLIED, LAST)?.unwrap_or(0);
        let failed = |source| StorageError::File { operation: "open", path: path.clone(), source };
        let (mut journal, records) = Journal::open(&path, applied).map_err(failed)?;
        let file = journal.file().map_err(failed)?;
        // Higher than any number of a record that a crash cut, so that none of those is ever the next one.
        let number = journal.next() + JUMP;
        let rows: Vec<Row> = records.into_iter().flat_map(|record| record.rows).collect();
        transaction(&store, &rows, number)?.commit_durable()?;
        journal.restart(number);
        let flush = Mutex::new(Flush { written: number, durable: number, ..Flush::default() });
        Ok(Self { store, path, journal: Mutex::new(journal), file, flush, flushed: Condvar::new() })
    }

    /// Makes changes, durable at return.
    pub(super) fn commit(&self, rows: &[Row]) -> Result<(), StorageError> {
        let number = {
            let mut journal = lock(&self.journal);
            let before = journal.mark();
            let number = journal.next();
            if !matches!(journal.append(rows), Ok(true)) {
                return self.commit_at_once(&mut journal, rows);
            }
            let visible = transaction(&self.store, rows, number)
                .and_then(|transaction| Ok(transaction.commit_relaxed()?));
            if let Err(error) = visible {
                journal.take_back(before);
                return Err(error);
            }
            let mut flush = lock(&self.flush);
            flush.written = flush.written.max(number);
            number
        };
        self.wait(number)
    }

    /// Makes changes in the tables, durably, together with everything before them.
    fn commit_at_once(&self, journal: &mut Journal, rows: &[Row]) -> Result<(), StorageError> {
        let number = journal.next();
        transaction(&self.store, rows, number)?.commit_durable()?;
        journal.restart(number);
        let mut flush = lock(&self.flush);
        flush.written = flush.written.max(number);
        flush.durable = flush.durable.max(number);
        flush.broken = false;
        self.flushed.notify_all();
        Ok(())
    }

    /// Waits until a record is on the disk; one of those who wait flushes for all.
    fn wait(&self, number: u64) -> Result<(), StorageError> {
        let mut flush = lock(&self.flush);
        while flush.durable < number {
            if flush.busy {
                flush = self.flushed.wait(flush).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            flush.busy = true;
            let (written, broken) = (flush.written, flush.broken);
            drop(flush);
            let flushed = if broken { Err(io::ErrorKind::Other.into()) } else { self.file.sync_data() };
            let result = match flushed {
                Ok(()) => Ok(()),
                Err(error) => self.save(&error),
            };
            flush = lock(&self.flush);
            flush.busy = false;
            self.flushed.notify_all();
            result?;
            flush.durable = flush.durable.max(written);
        }
        Ok(())
    }

    /// After a failed flush everything has to be durable in the tables.
    fn save(&self, error: &io::Error) -> Result<(), StorageError> {
        lock(&self.flush).broken = true;
        eprintln!("registry: flush {}: {error}", self.path.display());
        self.commit_at_once(&mut lock(&self.journal), &[])
    }
}

/// The changes, with the mark that they are in the tables.
fn transaction<'s>(
    store: &'s Store,
    rows: &[Row],
    number: u64,
) -> Result<store::Transaction<'s>, StorageError> {
    let mut transaction = store.transaction();
    for row in rows {
        let table = if row.blob { &BLOB_ROWS } else { &RECORDS };
        match &row.value {
            Some(value) => drop(transaction.put(table, &row.key, value)?),
            None => drop(transaction.delete(table, &row.key)),
        }
    }
    transaction.put(&APPLIED, LAST, &number)?;
    Ok(transaction)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
