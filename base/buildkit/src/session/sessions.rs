//! The sessions there are, found by their ids.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Session;

/// All sessions of an engine.
#[derive(Debug, Default)]
pub struct Sessions {
    known: Mutex<HashMap<String, Arc<Session>>>,
    changed: Condvar,
}

impl Sessions {
    /// Makes a session known until what is returned is dropped. One with the same id takes the earlier one's place.
    pub fn add(self: &Arc<Self>, session: Session) -> Listed {
        let session = Arc::new(session);
        self.lock().insert(session.info().id.clone(), Arc::clone(&session));
        self.changed.notify_all();
        Listed { sessions: Arc::clone(self), session }
    }

    /// The session of an id, which may come a moment later than the build that names it.
    pub fn get(&self, id: &str, patience: Duration) -> Option<Arc<Session>> {
        let until = Instant::now() + patience;
        let mut known = self.lock();
        loop {
            if let Some(session) = known.get(id) {
                return Some(Arc::clone(session));
            }
            let left = until.checked_duration_since(Instant::now())?;
            known = self.changed.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that is known.
#[derive(Debug)]
pub struct Listed {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Listed {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits until the client is gone.
    pub fn wait(&self) {
        self.session.watch();
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut known = self.sessions.lock();
        let id = &self.session.info().id;
        if known.get(id).is_some_and(|session| Arc::ptr_eq(session, &self.session)) {
            known.remove(id);
        }
    }
}
