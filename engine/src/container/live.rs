//! What the engine holds of a container in memory only.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container::BackOff;

/// How long a start waits for a client that was told it may attach and has not come.
const ANNOUNCED_PATIENCE: Duration = Duration::from_secs(5);

/// In-memory companions of a container's record.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Held while a start or the end of a run is being worked out: an exit that comes during the start waits for it.
    transition: Mutex<()>,
    /// Held while a signal is sent and told: the end it brings is told after it.
    signalling: Mutex<()>,
    clients: Mutex<Clients>,
    arrived: Condvar,
    /// The container's restart back-off.
    back_off: Mutex<BackOff>,
    /// Number of the run; timers of earlier runs see that they are late.
    run: AtomicU64,
    next_key: AtomicU64,
}

/// Clients on their way to a container's streams.
#[derive(Debug, Default)]
struct Clients {
    /// They were told that they may attach, and have not handed over their connection yet.
    announced: usize,
    /// They wait for the start.
    waiting: Vec<WaitingClient>,
    /// The shim is there: clients go to it directly.
    direct: bool,
}

/// An attachment between its permission and its connection: a start waits for it, so that no output is missed.
#[derive(Debug)]
pub(crate) struct Announced {
    live: Arc<Live>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        lock(&self.live.clients).announced -= 1;
        self.live.arrived.notify_all();
    }
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

    pub(crate) fn signalling(&self) -> MutexGuard<'_, ()> {
        lock(&self.signalling)
    }

    /// A client was told that it may attach.
    pub(crate) fn announce(self: &Arc<Self>) -> Announced {
        lock(&self.clients).announced += 1;
        Announced { live: Arc::clone(self) }
    }

    /// Keeps a client for the start; gives it back when the shim is there already.
    pub(crate) fn keep_for_start(&self, client: WaitingClient) -> Option<WaitingClient> {
        let mut clients = lock(&self.clients);
        if clients.direct {
            return Some(client);
        }
        clients.waiting.push(client);
        None
    }

    /// The shim is there: those who wait are given out, who was announced is waited for, later ones go to it directly.
    pub(crate) fn open_streams(&self) -> Vec<WaitingClient> {
        let clients = lock(&self.clients);
        let waited =
            self.arrived.wait_timeout_while(clients, ANNOUNCED_PATIENCE, |clients| clients.announced > 0);
        let mut clients = waited.unwrap_or_else(PoisonError::into_inner).0;
        clients.direct = true;
        std::mem::take(&mut clients.waiting)
    }

    /// The run is over: clients wait for the next start. Those who waited for one that failed are let go.
    pub(crate) fn close_streams(&self) {
        let mut clients = lock(&self.clients);
        clients.direct = false;
        clients.waiting.clear();
    }

    /// A shim that was there before this engine takes clients.
    pub(crate) fn adopt_streams(&self) {
        lock(&self.clients).direct = true;
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
