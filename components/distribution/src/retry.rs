//! When to try again, and how many at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_client::Stop;

use crate::error::{DistributionError, Result};

/// Bounds of downloads and uploads.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Attempts in a row without a new byte.
    pub attempts: usize,
    /// Before the second attempt; doubled each time.
    pub first_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500) }
    }
}

/// Longest wait between two attempts, unless the registry asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How often a sleeper looks whether it was stopped.
const GLANCE: Duration = Duration::from_millis(100);

impl DistributionError {
    /// Whether the same may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_temporary(),
            Self::Broken(_) | Self::Content(crate::ContentError::Mismatch(_)) => true,
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Registry(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Counts attempts.
pub(crate) struct Attempts<'a> {
    limits: &'a Limits,
    stop: &'a Stop,
    failed: usize,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(limits: &'a Limits, stop: &'a Stop) -> Self {
        Self { limits, stop, failed: 0 }
    }

    /// Bytes came: the next failure is the first one again.
    pub(crate) fn moved(&mut self) {
        self.failed = 0;
    }

    /// Waits until the next attempt, or gives the failure back when there is none. `told` hears the seconds.
    pub(crate) fn again(&mut self, error: DistributionError, told: &dyn Fn(u64)) -> Result<()> {
        if self.stop.is_stopped() {
            return Err(DistributionError::Cancelled);
        }
        self.failed += 1;
        if !error.is_temporary() || self.failed >= self.limits.attempts {
            return Err(error);
        }
        let doubled = self.limits.first_wait.saturating_mul(1 << (self.failed - 1).min(16));
        let wait = error.retry_after().unwrap_or_else(|| doubled.min(LONGEST_WAIT));
        let end = Instant::now() + wait;
        let mut shown = u64::MAX;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.stop.is_stopped() {
                return Err(DistributionError::Cancelled);
            }
            let seconds = left.as_secs() + 1;
            if seconds != shown {
                told(seconds);
                shown = seconds;
            }
            std::thread::sleep(left.min(GLANCE));
        }
        Ok(())
    }
}

/// Does something until it succeeds, fails for good, or failed too often.
pub(crate) fn until_done<T>(limits: &Limits, stop: &Stop, work: impl Fn() -> Result<T>) -> Result<T> {
    let mut attempts = Attempts::new(limits, stop);
    loop {
        match work() {
            Err(error) => attempts.again(error, &|_| {})?,
            done => return done,
        }
    }
}

/// Lets so many through at once, whoever they work for. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    /// A gate for this many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new((Mutex::new(count.max(1)), Condvar::new())))
    }

    /// Waits for a place.
    pub(crate) fn enter(&self, stop: &Stop) -> Result<Entered> {
        let (free, freed) = &*self.0;
        let mut count = free.lock().unwrap_or_else(PoisonError::into_inner);
        while *count == 0 {
            if stop.is_stopped() {
                return Err(DistributionError::Cancelled);
            }
            count = freed.wait_timeout(count, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        *count -= 1;
        Ok(Entered(self.clone()))
    }
}

/// A place within a gate; left when dropped.
pub(crate) struct Entered(Gate);

impl Drop for Entered {
    fn drop(&mut self) {
        let (free, freed) = &*self.0.0;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        freed.notify_one();
    }
}
