//! Tables in one redb file, written by one thread that groups waiting changes into one commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError};

use crate::reserve::Reserve;
use crate::writer::{Failure, Request, Shared, Writer};
use crate::{Backend, Change, Durability, StoreError};

/// Memory for cached pages, bytes. Records are read once, when the engine starts; afterwards their owners hold them.
const CACHE: usize = 1 << 20;
const FILE: &str = "state.redb";

pub(crate) fn definition(name: &str) -> TableDefinition<'_, &'static str, &'static [u8]> {
    TableDefinition::new(name)
}

/// The database file and its writer.
pub(crate) struct RedbBackend {
    path: PathBuf,
    database: Shared,
    requests: Mutex<Option<Sender<Request>>>,
    writer: Option<JoinHandle<()>>,
}

impl RedbBackend {
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let prepare = |source| StoreError::Prepare { path: directory.to_owned(), source };
        crate::file::make_private_dir(directory).map_err(prepare)?;
        let path = directory.join(FILE);
        let database = Arc::new(RwLock::new(Some(open_database(&path)?)));
        let (sender, receiver) = channel();
        let writer = Writer {
            shared: Arc::clone(&database),
            path: path.clone(),
            reserve: Reserve::open(&path),
            unsynced: BTreeMap::new(),
        };
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(&receiver))
            .map_err(prepare)?;
        Ok(Self { path, database, requests: Mutex::new(Some(sender)), writer: Some(writer) })
    }

    fn read<T>(
        &self,
        name: &'static str,
        use_table: impl FnOnce(&Readable) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StoreError> {
        let failed = |source| StoreError::Read { table: name.to_owned(), source };
        let shared = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = shared.as_ref().ok_or(StoreError::Closed)?;
        guarded(&self.path, || {
            let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
            match transaction.open_table(definition(name)) {
                Ok(table) => use_table(&table).map(Some).map_err(|error| failed(error.into())),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(failed(error.into())),
            }
        })?
    }

    /// Gives changes to the writer; what says how it went.
    fn send(
        &self,
        changes: Vec<Change>,
        durability: Durability,
    ) -> Result<Receiver<Result<(), Failure>>, StoreError> {
        let (done, wait) = sync_channel(1);
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let requests = requests.ok_or(StoreError::Closed)?;
        requests.send(Request { changes, durability, done }).map_err(|_| StoreError::Closed)?;
        Ok(wait)
    }
}

type Readable = redb::ReadOnlyTable<&'static str, &'static [u8]>;

impl Backend for RedbBackend {
    fn get(&self, table: &'static str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(table, |table| Ok(table.get(key)?.map(|value| value.value().to_vec())))?;
        Ok(found.flatten())
    }

    fn scan(&self, table: &'static str, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let found = self.read(table, |table| {
            let mut entries = Vec::new();
            for entry in table.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                entries.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(entries)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn commit(&self, changes: Vec<Change>, durability: Durability) -> Result<(), StoreError> {
        match self.send(changes, durability)?.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failure::Full)) => Err(StoreError::Full { path: self.path.clone() }),
            Ok(Err(Failure::Other(message))) => Err(StoreError::Write { message }),
            Err(_) => Err(StoreError::Closed),
        }
    }

    fn hand_over(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.send(changes, Durability::Relaxed).map(drop)
    }
}

impl Drop for RedbBackend {
    fn drop(&mut self) {
        // The writer ends when nobody can send any more; then the last relaxed commits go to disk.
        drop(self.requests.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // Damage that is found now hurts nobody any more.
        let _ = guarded(&self.path, || drop(database));
    }
}

pub(crate) fn open_database(path: &Path) -> Result<Database, StoreError> {
    let unreadable = |source| StoreError::Unreadable { path: path.to_owned(), source };
    if !path.try_exists().map_err(|error| unreadable(error.into()))? {
        create_database(path)?;
    }
    match guarded(path, || redb::Builder::new().set_cache_size(CACHE).open(path))? {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(error) => Err(unreadable(error.into())),
    }
}

/// Does something with the database. The library takes its own file for granted and panics on a damaged one.
pub(crate) fn guarded<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T, StoreError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .map_err(|_| StoreError::Damaged { path: path.to_owned() })
}

/// Makes an empty database under another name first: a crash in between leaves no half-made one.
fn create_database(path: &Path) -> Result<(), StoreError> {
    let failed =
        |path: PathBuf, source| StoreError::File { operation: "create the state database", path, source };
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(temporary, error)),
        _ => {}
    }
    let database = redb::Builder::new()
        .create(&temporary)
        .map_err(|error| StoreError::Unreadable { path: temporary.clone(), source: error.into() })?;
    drop(database);
    crate::file::set_mode(&temporary, 0o600)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| crate::file::sync_parent(path))
        .map_err(|error| failed(path.to_owned(), error))
}
