//! Flushes new layers to disk, all that came together in one go, and notes that they are there.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use oci::Digest;
use store::Durability;

use super::files::open_dir;
use super::layout::Layout;
use super::state::{LayerMeta, State};

/// How long a layer waits for others: nothing depends on it (its blob is on disk), and what goes at once is never written.
const PAUSE: Duration = Duration::from_secs(1);

/// Knows which layers are not on disk yet. Its thread lives as long as there are some.
pub(super) struct Sync {
    layout: Layout,
    state: Arc<Mutex<State>>,
    working: Mutex<bool>,
}

impl Sync {
    pub(super) fn new(layout: &Layout, state: &Arc<Mutex<State>>) -> Arc<Self> {
        Arc::new(Self { layout: layout.clone(), state: Arc::clone(state), working: Mutex::new(false) })
    }

    /// Sees to it that all layers come to be on disk; called when there may be a new one.
    pub(super) fn begin(self: &Arc<Self>) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if *working || self.unsynced().is_empty() {
            return;
        }
        let held = Arc::downgrade(self);
        // Without the thread they stay unsynced, which is safe.
        *working = std::thread::Builder::new().name("layer-sync".into()).spawn(move || work(&held)).is_ok();
    }

    /// One round; whether another one is needed.
    fn round(&self) -> bool {
        let synced = self.all();
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        // Who adds a layer from here on finds nobody at work.
        *working = synced && !self.unsynced().is_empty();
        *working
    }

    /// One flush of the file system covers all layers; whether it could be done.
    fn all(&self) -> bool {
        let unsynced = self.unsynced();
        if unsynced.is_empty() {
            return true;
        }
        let Ok(directory) = open_dir(&self.layout.root()) else { return false };
        if rustix::fs::syncfs(&directory).is_err() {
            return false;
        }
        unsynced.iter().filter(|chain| !self.note(chain)).count() == 0
    }

    /// Notes that a layer is on disk, if it is still there.
    fn note(&self, chain: &Digest) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(meta) = state.layers.get_mut(chain) else { return true };
        let synced = LayerMeta { unsynced: None, ..meta.clone() };
        let path = self.layout.layer(chain).join("meta");
        let noted = store::file::replace_json(&path, &synced, Durability::Relaxed).is_ok();
        if noted {
            *meta = synced;
        }
        noted
    }

    fn unsynced(&self) -> Vec<Digest> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = state.layers.iter().filter(|(_, meta)| meta.unsynced.is_some());
        layers.map(|(chain, _)| chain.clone()).collect()
    }
}

/// Ends with the driver, too: the next one begins anew.
fn work(sync: &Weak<Sync>) {
    loop {
        std::thread::sleep(PAUSE);
        if !sync.upgrade().is_some_and(|sync| sync.round()) {
            return;
        }
    }
}
