//! Turns: what several builds want at the same time is made by one of them, and the others take its result.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often whoever waits looks whether its build is still wanted.
const PATIENCE: Duration = Duration::from_millis(100);

/// Keys of the results that are being made.
#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<String>>,
    changed: Condvar,
}

/// The turn of one key: as long as somebody has it, nobody else makes that result. Who comes next has it afterwards,
/// however the first one ended.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.key);
        self.turns.changed.notify_all();
    }
}

impl Turns {
    /// Waits for the turn of a key; none when `given_up` says that it is not wanted any more.
    pub(super) fn take(self: &Arc<Self>, key: &str, given_up: &dyn Fn() -> bool) -> Option<Turn> {
        let mut taken = self.lock();
        while taken.contains(key) {
            if given_up() {
                return None;
            }
            taken = self.changed.wait_timeout(taken, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        taken.insert(key.to_owned());
        Some(Turn { turns: Arc::clone(self), key: key.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_key_has_one_turn_at_a_time() {
        let turns = Arc::new(Turns::default());
        let first = turns.take("a", &|| false).expect("free");
        assert!(turns.take("a", &|| true).is_none(), "who gives up gets none");
        assert!(turns.take("b", &|| true).is_some(), "another key is free");
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let turn = turns.take("a", &|| false).expect("its turn comes");
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
            drop(first);
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert!(turns.lock().is_empty());
    }
}
