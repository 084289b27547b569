//! Flushes new layers to disk, all that came together in one go, and notes that they are there.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use oci::Digest;
use store::Durability;

use super::files::open_dir;
use super::layout::Layout;
use super::state::{LayerMeta, State};

/// How long no layer may have come before those there are flushed: nothing depends on it (their blobs are on disk), a
/// flush takes disk and processor from whoever makes the next layer, and what goes at once is never written.
const QUIET: Duration = Duration::from_secs(4);
/// How long a layer waits at most while others come.
const MOST: Duration = Duration::from_secs(60);

/// Knows which layers are not on disk yet. Its thread lives as long as there are some.
pub(super) struct Sync {
    layout: Layout,
    state: Arc<Mutex<State>>,
    working: Mutex<Option<Waiting>>,
}

/// When layers came that are not flushed yet.
#[derive(Clone, Copy)]
struct Waiting {
    first: Instant,
    last: Instant,
}

impl Waiting {
    fn since(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    /// How long to wait still.
    fn left(&self, now: Instant) -> Duration {
        let due = (self.last + QUIET).min(self.first + MOST);
        due.saturating_duration_since(now)
    }
}

impl Sync {
    pub(super) fn new(layout: &Layout, state: &Arc<Mutex<State>>) -> Arc<Self> {
        Arc::new(Self { layout: layout.clone(), state: Arc::clone(state), working: Mutex::new(None) })
    }

    /// Sees to it that all layers come to be on disk; called when there may be a new one.
    pub(super) fn begin(self: &Arc<Self>) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(waiting) = &mut *working {
            waiting.last = now;
            return;
        }
        if self.unsynced().is_empty() {
            return;
        }
        let held = Arc::downgrade(self);
        // Without the thread they stay unsynced, which is safe.
        let thread = std::thread::Builder::new().name("layer-sync".into()).spawn(move || work(&held));
        *working = thread.is_ok().then(|| Waiting::since(now));
    }

    /// How long to wait before a round; nothing when it is time.
    fn left(&self) -> Duration {
        let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.map_or(Duration::ZERO, |waiting| waiting.left(Instant::now()))
    }

    /// One round; whether another one is needed.
    fn round(&self) -> bool {
        let synced = self.all();
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let more = synced && !self.unsynced().is_empty();
        // Who adds a layer from here on finds nobody at work.
        *working = more.then(|| Waiting::since(Instant::now()));
        more
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
        let Some(left) = sync.upgrade().map(|sync| sync.left()) else { return };
        if !left.is_zero() {
            std::thread::sleep(left);
        } else if !sync.upgrade().is_some_and(|sync| sync.round()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_wait_for_a_quiet_moment_but_not_for_ever() {
        let first = Instant::now();
        let at = |seconds| first + Duration::from_secs(seconds);
        let mut waiting = Waiting::since(first);
        assert_eq!(waiting.left(at(1)), Duration::from_secs(3));
        waiting.last = at(3);
        assert_eq!(waiting.left(at(4)), Duration::from_secs(3));
        assert_eq!(waiting.left(at(7)), Duration::ZERO);
        waiting.last = at(59);
        assert_eq!(waiting.left(at(59)), Duration::from_secs(1));
        assert_eq!(waiting.left(at(61)), Duration::ZERO);
    }
}
