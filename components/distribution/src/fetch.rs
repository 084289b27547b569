//! Blobs into the store, several at a time, each readable while it comes.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use oci::image::Descriptor;
use registry_client::Stop;

use crate::content::{Content, ContentError, Take, Taking};
use crate::error::{DistributionError, Result};
use crate::resolve::write_failed;
use crate::retry::{Attempts, Gate, Limits};
use crate::sources::Sources;

/// What happens to one of the blobs, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes are there.
    Downloading {
        /// Bytes there.
        current: u64,
    },
    /// The next attempt comes in so many seconds.
    Retrying {
        /// Seconds.
        seconds: u64,
    },
    /// All bytes are there and are compared.
    Verifying,
    /// It is there.
    Complete,
}

/// A fetch of several blobs.
pub struct Fetch<'a> {
    /// Where from.
    pub sources: &'a Sources,
    /// Where to.
    pub content: &'a dyn Content,
    /// What, in order of urgency.
    pub blobs: &'a [Descriptor],
    /// How stubbornly.
    pub limits: &'a Limits,
    /// How many at once, together with others.
    pub gate: &'a Gate,
    /// Ends it early.
    pub stop: &'a Stop,
    /// Told what happens.
    pub told: &'a (dyn Fn(usize, Step) + Sync),
    slots: Vec<Slot>,
}

/// A blob as its reader sees it.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    /// It is coming; the reader that follows it, until somebody took it.
    Coming(Option<Box<dyn Read + Send>>),
    There,
    Failed,
}

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// Bytes between two reports.
const REPORT: u64 = 512 << 10;
/// Bytes that make an attempt one that was worth it: a registry that only drips does not get endless ones.
const WORTH: u64 = 64 << 10;
/// How long one waits at a time for somebody who brings the same blob.
const PATIENCE: Duration = Duration::from_millis(200);
/// Threads that wait at the gate.
const WORKERS: usize = 16;

impl<'a> Fetch<'a> {
    /// A fetch that has not begun.
    pub fn new(
        sources: &'a Sources,
        content: &'a dyn Content,
        blobs: &'a [Descriptor],
        limits: &'a Limits,
        gate: &'a Gate,
        stop: &'a Stop,
        told: &'a (dyn Fn(usize, Step) + Sync),
    ) -> Self {
        let slots = blobs.iter().map(|_| Slot::default()).collect();
        Self { sources, content, blobs, limits, gate, stop, told, slots }
    }

    /// Fetches all; ends when all are there, or one cannot be had.
    ///
    /// # Errors
    /// The first failure; the others are stopped then.
    pub fn run(&self) -> Result<()> {
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<DistributionError>> = Mutex::new(None);
        let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(blob), Some(slot)) = (self.blobs.get(at), self.slots.get(at)) else { return };
                if failed() {
                    slot.set(State::Failed);
                    continue;
                }
                match self.one(at, blob, slot) {
                    Ok(()) => slot.set(State::There),
                    Err(error) => {
                        slot.set(State::Failed);
                        let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        if first.is_none() {
                            *first = Some(error);
                            drop(first);
                            // Nobody needs the others without this one; what came of them stays.
                            self.stop.stop();
                        }
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.blobs.len().min(WORKERS) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// A reader of a blob that may still be coming; it ends only when the blob has its digest. Waits until something
    /// of it is there.
    ///
    /// # Errors
    /// When the blob cannot be had.
    pub fn open(&self, at: usize) -> std::io::Result<Box<dyn Read + Send>> {
        let gone = || std::io::Error::other("the blob could not be fetched");
        let (Some(blob), Some(slot)) = (self.blobs.get(at), self.slots.get(at)) else { return Err(gone()) };
        let mut state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *state {
                State::Coming(reader) if reader.is_some() => return reader.take().ok_or_else(gone),
                State::There => {
                    drop(state);
                    let file = self.content.open(&blob.digest).map_err(std::io::Error::other)?;
                    return Ok(Box::new(file));
                }
                State::Failed => return Err(gone()),
                State::Waiting | State::Coming(_) => {
                    state = slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn one(&self, at: usize, blob: &Descriptor, slot: &Slot) -> Result<()> {
        if self.content.has(blob)? {
            (self.told)(at, Step::Complete);
            return Ok(());
        }
        let _place = self.gate.enter(self.stop)?;
        let mut attempts = Attempts::new(self.limits, self.stop);
        loop {
            if self.stop.is_stopped() {
                return Err(DistributionError::Cancelled);
            }
            match self.content.take(blob, PATIENCE)? {
                Take::Present => {
                    (self.told)(at, Step::Complete);
                    return Ok(());
                }
                Take::Busy => {}
                Take::Ours(taking) => match self.fill(at, blob, slot, taking, &mut attempts) {
                    Err(error @ DistributionError::Content(ContentError::Mismatch(_))) => {
                        self.wait(at, &mut attempts, error)?
                    }
                    outcome => return outcome,
                },
            }
        }
    }

    fn wait(&self, at: usize, attempts: &mut Attempts<'_>, error: DistributionError) -> Result<()> {
        attempts.again(error, &|seconds| (self.told)(at, Step::Retrying { seconds }))
    }

    /// Brings a blob through as many connections as it takes.
    fn fill(
        &self,
        at: usize,
        blob: &Descriptor,
        slot: &Slot,
        mut taking: Box<dyn Taking>,
        attempts: &mut Attempts<'_>,
    ) -> Result<()> {
        slot.set(State::Coming(Some(taking.follow())));
        while taking.size() < blob.size {
            let before = taking.size();
            if let Err(error) = self.stream(at, blob, slot, &mut *taking) {
                if taking.size() >= before + WORTH {
                    attempts.moved();
                }
                self.wait(at, attempts, error)?;
            }
        }
        (self.told)(at, Step::Verifying);
        taking.finish()?;
        (self.told)(at, Step::Complete);
        Ok(())
    }

    /// One connection.
    fn stream(&self, at: usize, blob: &Descriptor, slot: &Slot, taking: &mut dyn Taking) -> Result<()> {
        let from = taking.size();
        let mut stream = self.sources.ask(|place| place.blob(blob, from, self.stop))?;
        if stream.start() < from {
            taking.restart()?;
            slot.set(State::Coming(Some(taking.follow())));
        }
        let mut block = vec![0; BLOCK.min(usize::try_from(blob.size).unwrap_or(BLOCK).max(1))];
        let mut reported = 0;
        loop {
            let count = stream.read(&mut block).map_err(|error| self.broken(error))?;
            if count == 0 {
                return Ok(());
            }
            taking.write_all(block.get(..count).unwrap_or_default()).map_err(write_failed)?;
            let current = taking.size();
            if current - reported.min(current) >= REPORT || current == blob.size {
                reported = current;
                (self.told)(at, Step::Downloading { current });
            }
        }
    }

    fn broken(&self, error: std::io::Error) -> DistributionError {
        if self.stop.is_stopped() { DistributionError::Cancelled } else { DistributionError::Broken(error) }
    }
}

impl Slot {
    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }
}
