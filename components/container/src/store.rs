//! The containers the engine knows: records on disk, names, and lookup by name, id and prefix.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use model::{ContainerId, ErrorKind, Kinded};

pub use crate::container::Container;
use crate::container::Place;
use crate::{ContainerRecord, Refusal};

/// Where records are kept; [`store::Store`] behind a table is one, tests bring another.
pub trait RecordTable: Send + Sync + std::fmt::Debug {
    /// Every record, in any order.
    ///
    /// # Errors
    /// When the table can't be read.
    fn load(&self) -> Result<Vec<(String, Vec<u8>)>, TableError>;
    /// Writes one record, durably when it returns.
    ///
    /// # Errors
    /// When it can't be written.
    fn put(&self, id: &str, record: &[u8]) -> Result<(), TableError>;
    /// Writes one record; a crash may take it, a later durable write of anybody keeps it. For what a restarted engine
    /// finds out from the shim.
    ///
    /// # Errors
    /// When it can't be written.
    fn put_relaxed(&self, id: &str, record: &[u8]) -> Result<(), TableError> {
        self.put(id, record)
    }
    /// Removes one record, durably when it returns.
    ///
    /// # Errors
    /// When it can't be removed.
    fn remove(&self, id: &str) -> Result<(), TableError>;
}

/// A table's failure, whatever its kind.
pub type TableError = Box<dyn std::error::Error + Send + Sync>;

/// A record could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table failed.
    #[error("the record of container {id} can't be kept")]
    Table {
        /// The container.
        id: String,
        /// Why.
        #[source]
        cause: TableError,
    },
    /// The table can't be read.
    #[error("the container records can't be read")]
    Load(#[source] TableError),
    /// A file of an auto-removed container failed.
    #[error("the record file {path} can't be kept")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The name is taken.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name wanted.
        name: String,
        /// Who has it.
        holder: String,
    },
    /// The name is not one.
    #[error("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    BadName {
        /// The name wanted.
        name: String,
    },
    /// A rename to the present name.
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    /// The step is not possible now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Kinded for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NameTaken { .. } => ErrorKind::Conflict,
            Self::BadName { .. } | Self::SameName => ErrorKind::Invalid,
            Self::Refused(refusal) => refusal.kind(),
            Self::Table { .. } | Self::Load(_) | Self::File { .. } => ErrorKind::Internal,
        }
    }
}

/// A text names no container, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// None.
    #[error("No such container: {reference}")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// Several.
    #[error("multiple IDs found with provided prefix: {reference}")]
    Ambiguous {
        /// What was asked for.
        reference: String,
    },
}

impl Kinded for LookupError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } => ErrorKind::Invalid,
        }
    }
}

/// Name of the record file of an auto-removed container, inside its directory below the exec root.
pub const EPHEMERAL_RECORD: &str = "record.json";

#[derive(Debug, Default)]
struct Index {
    by_id: BTreeMap<String, Arc<Container>>,
    names: HashMap<String, ContainerId>,
}

/// All containers.
#[derive(Debug)]
pub struct ContainerStore {
    table: Arc<dyn RecordTable>,
    ephemeral_dir: PathBuf,
    index: RwLock<Index>,
    unreadable: Vec<String>,
}

/// A name held for a container that is being made; given back unless the container is inserted.
#[derive(Debug)]
pub struct ReservedName<'a> {
    store: &'a ContainerStore,
    name: String,
    id: ContainerId,
}

impl ReservedName<'_> {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for ReservedName<'_> {
    fn drop(&mut self) {
        let mut index = self.store.index_mut();
        if index.names.get(&self.name) == Some(&self.id) && !index.by_id.contains_key(self.id.as_str()) {
            index.names.remove(&self.name);
        }
    }
}

impl ContainerStore {
    /// Reads every record: durable ones from the table, those of auto-removed containers from
    /// `<ephemeral_dir>/<id>/record.json` (the exec root's `containers` directory).
    ///
    /// # Errors
    /// When the table can't be read. A single unreadable record is skipped and named by [`ContainerStore::unreadable`].
    pub fn open(table: Arc<dyn RecordTable>, ephemeral_dir: PathBuf) -> Result<Self, StoreError> {
        let mut index = Index::default();
        let mut unreadable = Vec::new();
        for (id, bytes) in table.load().map_err(StoreError::Load)? {
            match serde_json::from_slice::<ContainerRecord>(&bytes) {
                Ok(record) => index.add(record, Place::Table(Arc::clone(&table))),
                Err(_) => unreadable.push(id),
            }
        }
        for entry in std::fs::read_dir(&ephemeral_dir).into_iter().flatten().flatten() {
            let path = entry.path().join(EPHEMERAL_RECORD);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            match serde_json::from_slice::<ContainerRecord>(&bytes) {
                Ok(record) => index.add(record, Place::File(path)),
                Err(_) => unreadable.push(entry.file_name().to_string_lossy().into_owned()),
            }
        }
        Ok(Self { table, ephemeral_dir, index: RwLock::new(index), unreadable })
    }

    /// Ids of records that could not be understood when the store was opened; they are left alone.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a name (made up when none is given) for a container that is being made.
    ///
    /// # Errors
    /// When the name is no name or is taken.
    pub fn reserve_name(
        &self,
        wanted: Option<&str>,
        id: &ContainerId,
    ) -> Result<ReservedName<'_>, StoreError> {
        let mut index = self.index_mut();
        let name = match wanted {
            Some(wanted) => {
                let name = wanted.strip_prefix('/').unwrap_or(wanted);
                check_name(name)?;
                index.check_free(name)?;
                name.to_owned()
            }
            None => (0..64)
                .map(model::name::generate)
                .find(|name| !index.names.contains_key(name))
                .unwrap_or_else(|| id.short().to_owned()),
        };
        index.names.insert(name.clone(), id.clone());
        Ok(ReservedName { store: self, name, id: id.clone() })
    }

    /// Adds a container whose name is reserved; its record is kept when this returns.
    ///
    /// # Errors
    /// When the name belongs to another one, or the record can't be written.
    pub fn insert(&self, record: ContainerRecord) -> Result<Arc<Container>, StoreError> {
        let place = if record.is_ephemeral() {
            Place::File(self.ephemeral_dir.join(record.id.as_str()).join(EPHEMERAL_RECORD))
        } else {
            Place::Table(Arc::clone(&self.table))
        };
        if let Some(holder) = self.index().names.get(&record.name).filter(|holder| **holder != record.id) {
            return Err(StoreError::NameTaken { name: record.name, holder: holder.to_string() });
        }
        place.put(&record, true)?;
        let id = record.id.to_string();
        let mut index = self.index_mut();
        index.add(record, place);
        // `add` has just put it there.
        Ok(Arc::clone(&index.by_id[&id]))
    }

    /// The container with this full id, name (with or without slash) or unique id prefix.
    ///
    /// # Errors
    /// When there is none, or several ids begin so.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>, LookupError> {
        let index = self.index();
        if let Some(container) = index.by_id.get(reference) {
            return Ok(Arc::clone(container));
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(container) = index.names.get(name).and_then(|id| index.by_id.get(id.as_str())) {
            return Ok(Arc::clone(container));
        }
        let not_found = || LookupError::NotFound { reference: reference.to_owned() };
        if reference.is_empty() {
            return Err(not_found());
        }
        let from = (Bound::Included(reference), Bound::Unbounded);
        let mut matching = index
            .by_id
            .range::<str, _>(from)
            .take_while(|(id, _)| id.starts_with(reference))
            .map(|(_, found)| found);
        match (matching.next(), matching.next()) {
            (Some(container), None) => Ok(Arc::clone(container)),
            (Some(_), Some(_)) => Err(LookupError::Ambiguous { reference: reference.to_owned() }),
            (None, _) => Err(not_found()),
        }
    }

    /// The container with this id.
    pub fn get(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.index().by_id.get(id.as_str()).map(Arc::clone)
    }

    /// All containers, newest first.
    pub fn list(&self) -> Vec<Arc<Container>> {
        let containers: Vec<Arc<Container>> = self.index().by_id.values().map(Arc::clone).collect();
        let mut dated: Vec<_> =
            containers.into_iter().map(|container| (container.record().created, container)).collect();
        dated.sort_by(|(left, _), (right, _)| right.cmp(left));
        dated.into_iter().map(|(_, container)| container).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index().by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a container another name; the old name.
    ///
    /// # Errors
    /// When the name is no name, is taken, or the record can't be written.
    pub fn rename(&self, container: &Container, new_name: &str) -> Result<String, StoreError> {
        let name = new_name.strip_prefix('/').unwrap_or(new_name);
        check_name(name)?;
        let old = container.record().name.clone();
        if old == name {
            return Err(StoreError::SameName);
        }
        {
            let mut index = self.index_mut();
            index.check_free(name)?;
            index.names.insert(name.to_owned(), container.id().clone());
        }
        let kept = container.update(|record| record.name = name.to_owned());
        let unused = if kept.is_ok() { &old } else { name };
        self.index_mut().names.remove(unused);
        kept.map(|()| old)
    }

    /// Forgets a container for good, frees its name, and tells everybody who waits for it.
    ///
    /// # Errors
    /// When the record can't be removed; the container stays then.
    pub fn remove(&self, container: &Container) -> Result<(), StoreError> {
        container.unkeep()?;
        let record = container.record();
        let mut index = self.index_mut();
        index.by_id.remove(container.id().as_str());
        if index.names.get(&record.name) == Some(container.id()) {
            index.names.remove(&record.name);
        }
        drop(index);
        container.tell_removed();
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    if model::name::is_valid(name) { Ok(()) } else { Err(StoreError::BadName { name: name.to_owned() }) }
}

impl Index {
    fn check_free(&self, name: &str) -> Result<(), StoreError> {
        match self.names.get(name) {
            Some(holder) => Err(StoreError::NameTaken { name: name.to_owned(), holder: holder.to_string() }),
            None => Ok(()),
        }
    }

    fn add(&mut self, record: ContainerRecord, place: Place) {
        let id = record.id.clone();
        self.names.insert(record.name.clone(), id.clone());
        self.by_id.insert(id.to_string(), Arc::new(Container::new(record, place)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::Timestamp;

    use super::*;
    use crate::{Config, Transition, WaitCondition};

    fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    #[derive(Debug, Default)]
    struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

    impl RecordTable for Memory {
        fn load(&self) -> Result<Vec<(String, Vec<u8>)>, TableError> {
            Ok(locked(&self.0).clone().into_iter().collect())
        }
        fn put(&self, id: &str, record: &[u8]) -> Result<(), TableError> {
            if record.len() > 100_000 {
                return Err("no space left".into());
            }
            locked(&self.0).insert(id.to_owned(), record.to_vec());
            Ok(())
        }
        fn remove(&self, id: &str) -> Result<(), TableError> {
            locked(&self.0).remove(id);
            Ok(())
        }
    }

    struct Fixture {
        table: Arc<Memory>,
        directory: PathBuf,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = std::env::temp_dir().join(format!("wharf-store-{}", model::id::random_hex()));
            Self { table: Arc::default(), directory }
        }
        fn open(&self) -> ContainerStore {
            ContainerStore::open(Arc::clone(&self.table) as Arc<dyn RecordTable>, self.directory.clone())
                .unwrap()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    fn record(id: &str, name: &str, auto_remove: bool) -> ContainerRecord {
        let id = format!("{id:0<64}").parse().unwrap();
        ContainerRecord::new(id, name.to_owned(), Config { auto_remove, ..Config::default() })
    }

    #[test]
    fn containers_are_found_by_id_name_and_prefix() {
        let fixture = Fixture::new();
        let store = fixture.open();
        for (id, name) in [("abc1", "web"), ("abd2", "abd"), ("ff", "db")] {
            store.insert(record(id, name, false)).unwrap();
        }
        let shown = |reference: &str| match store.find(reference) {
            Ok(container) => container.record().name.clone(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown(&format!("{:0<64}", "abc1")), "web");
        assert_eq!([shown("web"), shown("/web"), shown("abc"), shown("abd")], ["web", "web", "web", "abd"]);
        assert_eq!(shown("ab"), "multiple IDs found with provided prefix: ab");
        assert_eq!([shown("x"), shown("")], ["No such container: x", "No such container: "]);
    }

    #[test]
    fn names_are_unique_and_come_back() {
        let fixture = Fixture::new();
        let store = fixture.open();
        let first = record("a", "web", false);
        let reserved = store.reserve_name(Some("/web"), &first.id).unwrap();
        let taken = store.reserve_name(Some("web"), &record("b", "", false).id).unwrap_err();
        assert!(
            taken
                .to_string()
                .starts_with("Conflict. The container name \"/web\" is already in use by container \"a000")
        );
        drop(reserved);
        let container = store.insert(first).unwrap();
        assert_eq!(
            store.rename(&container, "web").unwrap_err().to_string(),
            "Renaming a container with the same name as its current name"
        );
        assert!(matches!(store.rename(&container, "a b"), Err(StoreError::BadName { .. })));
        assert_eq!(store.rename(&container, "/shop").unwrap(), "web");
        assert_eq!(store.find("shop").unwrap().id(), container.id());
        assert!(store.find("web").is_err());
        store.remove(&container).unwrap();
        store.reserve_name(Some("shop"), &record("c", "", false).id).unwrap();
        assert!(store.is_empty());
    }

    #[test]
    fn records_outlive_the_engine_in_their_own_places() {
        let fixture = Fixture::new();
        {
            let store = fixture.open();
            store.insert(record("a", "kept", false)).unwrap();
            let brief = store.insert(record("b", "brief", true)).unwrap();
            brief.step(Transition::Started { pid: 5, at: Timestamp::now() }).unwrap();
        }
        locked(&fixture.table.0).insert("broken".to_owned(), b"{".to_vec());
        let store = fixture.open();
        assert_eq!(store.unreadable(), ["broken"]);
        assert_eq!(store.len(), 2);
        assert_eq!(store.find("brief").unwrap().record().lifecycle.state.pid(), 5);
        assert_eq!(locked(&fixture.table.0).len(), 2);
    }

    #[test]
    fn a_full_disk_changes_nothing_but_what_the_kernel_did() {
        let fixture = Fixture::new();
        let store = fixture.open();
        let container = store.insert(record("a", "web", false)).unwrap();
        let huge = container.update(|record| record.platform = "x".repeat(200_000));
        assert!(matches!(huge, Err(StoreError::Table { .. })));
        assert_eq!(container.record().platform, "");
        container.update_volatile(|record| record.platform = "x".repeat(200_000));
        let waiter = container.wait(WaitCondition::NextExit);
        assert!(container.step(Transition::Started { pid: 5, at: Timestamp::now() }).is_err());
        assert_eq!(container.record().lifecycle.state.pid(), 5);
        container.update_volatile(|record| record.platform.clear());
        container.step(Transition::Exited { code: 3, oom_killed: false, at: Timestamp::now() }).unwrap();
        assert_eq!(waiter.wait().exit_code, 3);
    }
}
