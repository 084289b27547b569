//! What the engine holds of a container in memory only.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use container::BackOff;

/// In-memory companions of a container's record.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Held while a start or the end of a run is being worked out: an exit that comes during the start waits for it.
    transition: Mutex<()>,
    /// Clients that attached before the start.
    waiting: Mutex<Vec<WaitingClient>>,
    /// The container's restart back-off.
    back_off: Mutex<BackOff>,
    /// Number of the run; timers of earlier runs see that they are late.
    run: AtomicU64,
    next_key: AtomicU64,
}

/// A client that waits for the start.
#[derive(Debug)]
pub(crate) struct WaitingClient {
    /// How it wants its streams.
    pub(crate) attach: shim_protocol::Attach,
    /// Its connection.
    pub(crate) socket: OwnedFd,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(crate) fn transition(&self) -> MutexGuard<'_, ()> {
        lock(&self.transition)
    }

    pub(crate) fn add_waiting(&self, client: WaitingClient) {
        lock(&self.waiting).push(client);
    }

    pub(crate) fn take_waiting(&self) -> Vec<WaitingClient> {
        std::mem::take(&mut lock(&self.waiting))
    }

    pub(crate) fn back_off(&self) -> MutexGuard<'_, BackOff> {
        lock(&self.back_off)
    }

    /// The number of the present run.
    pub(crate) fn run(&self) -> u64 {
        self.run.load(Ordering::Acquire)
    }

    /// Another run begins, or a pending restart is called off: older timers are void.
    pub(crate) fn next_run(&self) -> u64 {
        self.run.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A key for a new attachment.
    pub(crate) fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::Relaxed) + 1
    }
}
