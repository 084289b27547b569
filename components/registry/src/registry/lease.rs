//! What a client was told it need not upload stays for a while, until its manifest arrives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci::digest::Digest;

/// Leases held at most; when there are more, the registry collects nothing until some have run out.
const MOST: usize = 100_000;

/// Blobs that were seen by a client lately.
#[derive(Debug)]
pub(crate) struct Leases {
    grace: Duration,
    held: Mutex<HashMap<(String, Digest), Instant>>,
}

impl Leases {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, held: Mutex::default() }
    }

    /// A client learnt that the blob is there.
    pub(crate) fn renew(&self, name: &str, digest: &Digest) {
        let now = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MOST {
            held.retain(|_, since| now.duration_since(*since) < self.grace);
        }
        if held.len() <= MOST {
            held.insert((name.to_owned(), digest.clone()), now);
        }
    }

    /// Whether the blob may go, as far as clients are concerned.
    pub(crate) fn is_free(&self, name: &str, digest: &Digest) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), digest.clone());
        held.len() <= MOST && held.get(&key).is_none_or(|since| since.elapsed() >= self.grace)
    }

    /// Forgets those that have run out.
    pub(crate) fn sweep(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, since| since.elapsed() < self.grace);
        held.shrink_to_fit();
    }
}
