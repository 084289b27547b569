//! One container: its record, health and waiters, and where the record is kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::ContainerId;

use crate::store::{RecordTable, StoreError};
use crate::wait::WaitRegistry;
use crate::{ContainerRecord, Health, Listed, RestartPolicy, Transition, WaitCondition, WaitResult, Waiter};

/// One container: its record, health and waiters.
#[derive(Debug)]
pub struct Container {
    id: ContainerId,
    record: RwLock<Arc<ContainerRecord>>,
    // Serialises writers, so that readers never wait for a disk.
    writing: Mutex<()>,
    health: Mutex<Health>,
    waiters: WaitRegistry,
    operation: Mutex<()>,
    listed: Listed,
    place: Place,
}

/// Where the record is kept.
#[derive(Debug)]
pub(crate) enum Place {
    Table(Arc<dyn RecordTable>),
    File(PathBuf),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Container {
    pub(crate) fn new(record: ContainerRecord, place: Place) -> Self {
        Self {
            id: record.id.clone(),
            record: RwLock::new(Arc::new(record)),
            writing: Mutex::new(()),
            health: Mutex::new(Health::default()),
            waiters: WaitRegistry::default(),
            operation: Mutex::new(()),
            listed: Listed::default(),
            place,
        }
    }

    /// Takes the record away from where it is kept.
    pub(crate) fn unkeep(&self) -> Result<(), StoreError> {
        self.place.remove(&self.id)
    }

    /// Tells everybody who waits that it is gone.
    pub(crate) fn tell_removed(&self) {
        let exit_code = self.record().lifecycle.exit_code;
        self.waiters.removed(&WaitResult { exit_code, error: None });
    }

    /// Its id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The record as it is now; never waits for a disk or a shim.
    pub fn record(&self) -> Arc<ContainerRecord> {
        Arc::clone(&self.record.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text that lists show for it.
    pub fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Holds off other verbs (start, stop, remove, ...) on this container. Views and waits do not take it.
    pub fn operate(&self) -> MutexGuard<'_, ()> {
        locked(&self.operation)
    }

    /// Changes the record and keeps it; readers see the change only when it is kept.
    ///
    /// # Errors
    /// When the record can't be written; nothing has changed then.
    pub fn update<T>(&self, change: impl FnOnce(&mut ContainerRecord) -> T) -> Result<T, StoreError> {
        let _writing = locked(&self.writing);
        let mut record = ContainerRecord::clone(&self.record());
        let result = change(&mut record);
        self.place.put(&record, true)?;
        self.publish(record);
        Ok(result)
    }

    /// Changes the record in memory only, for what a restarted engine finds out by itself.
    pub fn update_volatile<T>(&self, change: impl FnOnce(&mut ContainerRecord) -> T) -> T {
        let _writing = locked(&self.writing);
        let mut record = ContainerRecord::clone(&self.record());
        let result = change(&mut record);
        self.publish(record);
        result
    }

    fn publish(&self, record: ContainerRecord) {
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
    }

    /// Takes one step of the state machine, keeps the record, and tells the waiters.
    ///
    /// # Errors
    /// Docker's refusal, or [`StoreError`] when the record can't be written.
    pub fn step(&self, step: Transition) -> Result<Arc<ContainerRecord>, StoreError> {
        let ended = match &step {
            Transition::Exited { code, .. } => Some((*code, false)),
            Transition::ExitedToRestart { code, .. } => Some((*code, true)),
            Transition::StartFailed { code, .. } => Some((*code, false)),
            Transition::RestartStopped => Some((self.record().lifecycle.exit_code, false)),
            _ => None,
        };
        let error = match &step {
            Transition::StartFailed { error, .. } => Some(error.clone()),
            _ => None,
        };
        let durable = !matches!(step, Transition::Paused | Transition::Resumed | Transition::Started { .. })
            || self.record().config.restart == RestartPolicy::UnlessStopped;
        {
            let _writing = locked(&self.writing);
            let mut record = ContainerRecord::clone(&self.record());
            record.lifecycle.apply(self.id.as_str(), &record.name.clone(), step)?;
            let kept = self.place.put(&record, durable);
            // What the kernel has done is true even when the disk is full.
            self.publish(record);
            kept?;
        }
        if let Some((exit_code, restarting)) = ended {
            self.waiters.exited(&WaitResult { exit_code, error }, restarting);
        }
        Ok(self.record())
    }

    /// Registers a waiter; it is registered when this returns.
    pub fn wait(&self, condition: WaitCondition) -> Waiter {
        let _writing = locked(&self.writing);
        let record = self.record();
        self.waiters.register(condition, &record.lifecycle.state, record.lifecycle.exit_code)
    }

    /// A descriptor that becomes readable at its next end; at once when it does not run.
    ///
    /// # Errors
    /// When the machine has no descriptor left.
    pub fn end_descriptor(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        let _writing = locked(&self.writing);
        self.waiters.end_descriptor(&self.record().lifecycle.state)
    }

    /// Its health as it is now.
    pub fn health(&self) -> Health {
        locked(&self.health).clone()
    }

    /// Changes its health (kept in memory; a restarted engine begins with `starting`).
    pub fn update_health<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        change(&mut locked(&self.health))
    }
}

impl Place {
    pub(crate) fn put(&self, record: &ContainerRecord, durable: bool) -> Result<(), StoreError> {
        let id = record.id.as_str();
        let bytes = serde_json::to_vec(record)
            .map_err(|cause| StoreError::Table { id: id.to_owned(), cause: Box::new(cause) })?;
        match self {
            Self::Table(table) => {
                let kept = if durable { table.put(id, &bytes) } else { table.put_relaxed(id, &bytes) };
                kept.map_err(|cause| StoreError::Table { id: id.to_owned(), cause })
            }
            Self::File(path) => {
                write_file(path, &bytes).map_err(|cause| StoreError::File { path: path.clone(), cause })
            }
        }
    }

    fn remove(&self, id: &ContainerId) -> Result<(), StoreError> {
        match self {
            Self::Table(table) => {
                table.remove(id.as_str()).map_err(|cause| StoreError::Table { id: id.to_string(), cause })
            }
            Self::File(path) => match std::fs::remove_file(path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::File { path: path.clone(), cause })
                }
                _ => Ok(()),
            },
        }
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}
