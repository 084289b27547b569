//! The word that a call is over, for whoever still works on it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Tells that a call was given up; cloned freely, all clones are the same.
#[derive(Clone, Default)]
pub struct Cancellation {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    hooks: Vec<(u64, Box<dyn FnOnce() + Send>)>,
}

impl Cancellation {
    /// One that nobody has called yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the call up: calls the hooks, once.
    pub fn cancel(&self) {
        let hooks = {
            let mut state = self.state();
            state.cancelled = true;
            std::mem::take(&mut state.hooks)
        };
        self.inner.notify.notify_waiters();
        for (_, hook) in hooks {
            hook();
        }
    }

    /// Whether the call was given up.
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Calls `hook` once, from another thread, when the call is given up (at once when it was), unless what is
    /// returned has been dropped by then. A hook must not block: it runs in the thread that serves the connection.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> Hook {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        if state.cancelled {
            drop(state);
            hook();
        } else {
            state.hooks.push((number, Box::new(hook)));
        }
        Hook { of: self.clone(), number }
    }

    /// Waits for the word.
    pub(crate) async fn cancelled(&self) {
        let mut notified = pin!(self.inner.notify.notified());
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cancellation")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A hook in a [`Cancellation`], taken out when this is dropped.
#[derive(Debug)]
#[must_use = "the hook is taken out when this is dropped"]
pub struct Hook {
    of: Cancellation,
    number: u64,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.of.state().hooks.retain(|(number, _)| *number != self.number);
    }
}

/// Cancels when it is dropped.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn hooks_are_called_once_unless_taken_out() {
        let calls = Arc::new(AtomicU32::new(0));
        let count = |by: u32| {
            let calls = Arc::clone(&calls);
            move || {
                calls.fetch_add(by, Ordering::SeqCst);
            }
        };
        let cancellation = Cancellation::new();
        let _kept = cancellation.on_cancel(count(1));
        drop(cancellation.on_cancel(count(10)));
        assert!(!cancellation.is_cancelled());
        cancellation.clone().cancel();
        cancellation.cancel();
        assert!(cancellation.is_cancelled());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let _late = cancellation.on_cancel(count(100));
        assert_eq!(calls.load(Ordering::SeqCst), 101, "a late hook is called at once");
    }
}
