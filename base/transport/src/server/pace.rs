//! How slowly a client may send a body.

use std::io;
use std::time::{Duration, Instant};

/// Bytes a second that a client has to send in the long run.
const LEAST_RATE: u64 = 1024;

/// Waits for a client's bytes, added up; our own work does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    patience: Duration,
    waited: Duration,
    received: u64,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, received: 0 }
    }

    /// Counts one read that began then.
    ///
    /// # Errors
    /// `TimedOut` when nothing came in time, or too little.
    pub(super) fn count(&mut self, since: Instant, result: io::Result<usize>) -> io::Result<usize> {
        let slow = || io::Error::new(io::ErrorKind::TimedOut, "the client sends too slowly");
        self.waited += since.elapsed();
        match result {
            Ok(count) => {
                self.received += count as u64;
                let allowed = self.patience + Duration::from_secs(self.received / LEAST_RATE);
                if self.waited > allowed { Err(slow()) } else { Ok(count) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(slow()),
            Err(error) => Err(error),
        }
    }
}
