//! Places for connections, of which there are so many.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Counts connections, and makes whoever wants one more wait.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(0), freed: Condvar::new() })
    }

    /// Waits for a place.
    pub(super) fn take(self: &Arc<Self>) -> Seat {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= self.most {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Seat(Arc::clone(self))
    }

    /// A place, if there is one.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        Some(Seat(Arc::clone(self)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
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
            assert!(waiting.join().is_ok());
        });
        assert!(seats.try_take().is_some());
    }
}
