//! Blobs as streams that end exactly where they should, are not too slow, and can be stopped.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use transport::client::{BodyReader, Socket};

use crate::Slowest;

/// Stops exchanges from another thread. Clones stop the same.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    stopped: AtomicBool,
    next: AtomicU64,
    /// What ends each of those that watch.
    ends: Mutex<HashMap<u64, Box<dyn Fn() + Send>>>,
}

impl Stop {
    /// Ends everything that watches it.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        for end in self.0.ends.lock().unwrap_or_else(PoisonError::into_inner).values() {
            end();
        }
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Calls `end` when it is stopped, until what this answers is dropped; at once when it was stopped already.
    pub(crate) fn watch(&self, end: impl Fn() + Send + 'static) -> Watched {
        let key = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            end();
        }
        ends.insert(key, Box::new(end));
        drop(ends);
        Watched { stop: self.clone(), key }
    }

    /// Closes a connection when it is stopped.
    pub(crate) fn watch_socket(&self, socket: Option<Socket>) -> Watched {
        self.watch(move || {
            if let Some(socket) = &socket {
                socket.close();
            }
        })
    }
}

pub(crate) struct Watched {
    stop: Stop,
    key: u64,
}

impl Watched {
    /// Whether what it watches was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop.0.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The bytes of a blob from some place on. It ends without an error only after as many bytes as were announced.
pub struct BlobStream {
    body: BodyReader,
    start: u64,
    left: u64,
    pace: Pace,
    watched: Watched,
}

impl BlobStream {
    pub(crate) fn new(body: BodyReader, start: u64, left: u64, slowest: Slowest, stop: &Stop) -> Self {
        let watched = stop.watch_socket(body.socket());
        Self { body, start, left, pace: Pace::new(slowest), watched }
    }

    /// The first byte it gives: 0 when the registry does not give parts.
    pub fn start(&self) -> u64 {
        self.start
    }
}

impl Read for BlobStream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.body.read(&mut [0]) {
                Ok(0) | Err(_) => Ok(0),
                Ok(_) => Err(Error::new(ErrorKind::InvalidData, "the blob is longer than its manifest says")),
            };
        }
        let wanted = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let result = self.body.read(out.get_mut(..wanted).unwrap_or_default());
        if self.watched.is_stopped() {
            return Err(Error::other("context canceled"));
        }
        let count = result?;
        if count == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "unexpected EOF"));
        }
        self.left -= count as u64;
        if self.left > 0 {
            self.pace.moved(count as u64)?;
        }
        Ok(count)
    }
}

/// Notices streams that only drip.
pub(crate) struct Pace {
    slowest: Slowest,
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(slowest: Slowest) -> Self {
        Self { slowest, since: Instant::now(), bytes: 0 }
    }

    pub(crate) fn moved(&mut self, count: u64) -> std::io::Result<()> {
        self.bytes += count;
        if self.bytes >= self.slowest.bytes {
            self.since = Instant::now();
            self.bytes = 0;
        } else if self.since.elapsed() > self.slowest.window {
            return Err(Error::new(ErrorKind::TimedOut, "the registry sends too slowly"));
        }
        Ok(())
    }
}
