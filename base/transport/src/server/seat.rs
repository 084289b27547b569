//! Places for connections, of which there are so many.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Counts connections, and makes whoever wants one more wait.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Nobody waits any more.
    closed: bool,
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), freed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; none when they are closed meanwhile.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        self.take_below(self.most)
    }

    /// Waits until less than three quarters are taken.
    pub(super) fn take_but_a_quarter(self: &Arc<Self>) -> Option<Seat> {
        self.take_below((self.most - self.most / 4).max(1))
    }

    fn take_below(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let mut state = self.state();
        while state.taken >= most && !state.closed {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        state.taken += 1;
        Some(Seat(Arc::clone(self)))
    }

    /// A place, if there is one.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.state();
        if state.taken >= self.most {
            return None;
        }
        state.taken += 1;
        Some(Seat(Arc::clone(self)))
    }

    /// Whoever waits, or is going to, goes away without a place.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.freed.notify_all();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.state().taken -= 1;
        // Not everybody waits for the same number.
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_there_are() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take(), seats.try_take());
        assert!(second.is_some() && seats.try_take().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| seats.take());
            drop(first);
            assert!(waiting.join().unwrap().is_some());
        });
        assert!(seats.try_take().is_some());
    }

    #[test]
    fn a_quarter_is_kept_and_nobody_waits_in_vain() {
        let seats = Seats::new(4);
        let _held = [(); 3].map(|()| seats.take_but_a_quarter().unwrap());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| seats.take_but_a_quarter().is_some());
            let _last = seats.take().unwrap();
            assert!(seats.try_take().is_none());
            seats.close();
            assert!(!waiting.join().unwrap());
        });
    }
}
