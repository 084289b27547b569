//! The one thread that changes the database: waiting changes share a commit, and a failed disk does not end it.
//!
//! redb refuses everything after a failed write until it is opened anew. So that happens here, and what was committed
//! without waiting for the disk is written again then. On a full disk records still change and go, and only new ones
//! are refused until there is space for the reserve.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase as _, TableError};

use crate::redb_backend::{definition, guarded, open_database};
use crate::reserve::Reserve;
use crate::{Change, Durability, StoreError};

/// Changes of at most so many transactions go into one commit.
const GROUP: usize = 256;

/// The open database; none while a broken one could not be opened again.
pub(crate) type Shared = Arc<RwLock<Option<Database>>>;

/// A transaction that waits for its commit.
pub(crate) struct Request {
    pub(crate) changes: Vec<Change>,
    pub(crate) durability: Durability,
    pub(crate) done: SyncSender<Result<(), Failure>>,
}

/// Why a commit failed; shared by all transactions in it.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// There is no space.
    Full,
    /// Anything else, ready to be read.
    Other(String),
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match &error {
            redb::Error::Io(source) if is_full(source) => Self::Full,
            _ => Self::Other(model::error::chain(&error)),
        }
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        Self::Other(model::error::chain(error))
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) shared: Shared,
    pub(crate) path: PathBuf,
    pub(crate) reserve: Reserve,
    /// Committed but perhaps not on disk: the newest value by table and key, none for a removed one.
    pub(crate) unsynced: BTreeMap<(&'static str, String), Option<Vec<u8>>>,
}

impl Writer {
    /// Commits until nobody can send any more; then the last relaxed commits go to disk.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(request) = requests.try_recv()
            {
                group.push(request);
            }
            self.serve(group);
        }
        if !self.unsynced.is_empty() && self.commit(&[], Durability::Durable).is_err() {
            self.recover();
            let _ = self.commit(&[], Durability::Durable);
        }
    }

    fn serve(&mut self, group: Vec<Request>) {
        let group = self.refuse_growth(group);
        let result = self.commit_group(&group);
        if matches!(result, Err(Failure::Full)) {
            // One that grew too much takes the others with it: each for itself.
            self.recover();
            for request in self.refuse_growth(group) {
                let single = self.commit(&request.changes.iter().collect::<Vec<_>>(), request.durability);
                if single.is_err() {
                    self.recover();
                }
                let _ = request.done.send(single);
            }
            return;
        }
        if result.is_err() {
            self.recover();
        }
        for request in group {
            // A caller that went away does not need its answer.
            let _ = request.done.send(result.clone());
        }
    }

    fn commit_group(&mut self, group: &[Request]) -> Result<(), Failure> {
        let durability = group.iter().map(|request| request.durability).max();
        let changes: Vec<&Change> = group.iter().flat_map(|request| &request.changes).collect();
        match durability {
            Some(durability) => self.commit(&changes, durability),
            None => Ok(()),
        }
    }

    fn commit(&mut self, changes: &[&Change], durability: Durability) -> Result<(), Failure> {
        if self.shared.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.open()?;
        }
        {
            let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            let database = shared.as_ref().ok_or_else(|| Failure::Other(StoreError::Closed.to_string()))?;
            self.write(database, changes, durability)?;
        }
        match durability {
            Durability::Durable => self.unsynced.clear(),
            Durability::Relaxed => self.unsynced.extend(changes.iter().map(|change| newest(change))),
        }
        Ok(())
    }

    /// Makes the database usable again after a failed commit.
    fn recover(&mut self) {
        self.reserve.forget();
        // What cannot be opened now is tried again by the next commit.
        let _ = self.open();
    }

    /// Opens the database anew and writes again what its last synchronised state lacks.
    fn open(&mut self) -> Result<(), Failure> {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        // The old one has to be closed before the file can be opened.
        *shared = None;
        let database =
            open_database(&self.path).map_err(|error| Failure::Other(model::error::chain(&error)))?;
        let lost: Vec<Change> =
            self.unsynced.iter().map(|(place, value)| change(place, value.as_ref())).collect();
        self.write(&database, &lost.iter().collect::<Vec<_>>(), Durability::Relaxed)?;
        *shared = Some(database);
        Ok(())
    }

    fn write(&self, database: &Database, changes: &[&Change], durability: Durability) -> Result<(), Failure> {
        let written = guarded(&self.path, || write(database, changes, durability));
        Ok(written.map_err(|error| Failure::from(&error))??)
    }

    /// While the reserve is spent, a transaction with a new record is refused: the space is for what changes and goes.
    fn refuse_growth(&mut self, group: Vec<Request>) -> Vec<Request> {
        self.reserve.refill();
        if self.reserve.is_held() {
            return group;
        }
        let (growing, rest): (Vec<Request>, Vec<Request>) =
            group.into_iter().partition(|request| request.changes.iter().any(|change| self.is_new(change)));
        for request in growing {
            let _ = request.done.send(Err(Failure::Full));
        }
        rest
    }

    fn is_new(&self, change: &Change) -> bool {
        let Change::Put { table, key, .. } = change else { return false };
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = shared.as_ref() else { return false };
        !matches!(guarded(&self.path, || has(database, table, key)), Ok(Ok(true)))
    }
}

fn has(database: &Database, table: &'static str, key: &str) -> Result<bool, redb::Error> {
    match database.begin_read()?.open_table(definition(table)) {
        Ok(table) => Ok(redb::ReadableTable::get(&table, key)?.is_some()),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn newest(change: &Change) -> ((&'static str, String), Option<Vec<u8>>) {
    match change {
        Change::Put { table, key, value } => ((table, key.clone()), Some(value.clone())),
        Change::Delete { table, key } => ((table, key.clone()), None),
    }
}

fn change((table, key): &(&'static str, String), value: Option<&Vec<u8>>) -> Change {
    match value {
        Some(value) => Change::Put { table, key: key.clone(), value: value.clone() },
        None => Change::Delete { table, key: key.clone() },
    }
}

fn write(database: &Database, changes: &[&Change], durability: Durability) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(match durability {
        Durability::Durable => redb::Durability::Immediate,
        Durability::Relaxed => redb::Durability::None,
    })?;
    transaction.set_quick_repair(true);
    for change in changes {
        match change {
            Change::Put { table, key, value } => {
                transaction.open_table(definition(table))?.insert(key.as_str(), value.as_slice())?;
            }
            Change::Delete { table, key } => {
                transaction.open_table(definition(table))?.remove(key.as_str())?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
