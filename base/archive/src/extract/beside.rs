//! Files made by other threads, while the archive is read on.
//!
//! Making a file costs the kernel far more than reading its member does. Only small plain files whose name is new go
//! aside, into a directory that is open already; whoever depends on them waits until they are there. So the outcome is
//! that of making one after the other.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use linux::scheduling::processors;

use super::node::{Done, Place};
use super::{ExtractOptions, Parent, Usage};
use crate::Entry;
use crate::error::{ArchiveError, Result};

/// Bytes of a file that goes aside at most.
pub(super) const SMALL: u64 = 32 << 10;
/// Files handed over at once.
const BATCH: usize = 32;
/// Batches that wait at most.
const WAITING: usize = 4;
/// Small files before it is worth a thread.
const WORTH: usize = 256;
/// Threads at most.
const MOST: usize = 4;
/// Names that are remembered at most; archives with more are unpacked one by one from there on.
const NAMES: usize = 500_000;

/// A file to be made.
pub(super) struct Job {
    pub(super) parent: Arc<Parent>,
    pub(super) path: PathBuf,
    pub(super) entry: Entry,
    pub(super) content: Vec<u8>,
}

/// Makes files aside.
pub(super) struct Beside<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    options: &'env ExtractOptions,
    hasher: RandomState,
    /// Names that have been made or handed over, by the directory they are in.
    names: HashSet<u64>,
    batch: Vec<Job>,
    small: usize,
    queue: Arc<Queue>,
    makers: Vec<ScopedJoinHandle<'scope, ()>>,
}

/// What the threads share.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Vec<Job>>,
    /// Batches in the hands of threads.
    held: usize,
    ended: bool,
    made: Usage,
    /// Something was replaced after all: what was made cannot be counted.
    replaced: bool,
    error: Option<ArchiveError>,
}

impl<'scope, 'env> Beside<'scope, 'env> {
    /// None where one processor does it all.
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, options: &'env ExtractOptions) -> Option<Self> {
        (options.fresh && processors() > 1).then(|| Self {
            scope,
            options,
            hasher: RandomState::new(),
            names: HashSet::new(),
            batch: Vec::new(),
            small: 0,
            queue: Arc::default(),
            makers: Vec::new(),
        })
    }

    /// Remembers a name in a directory, told by its inode; whether it is new.
    pub(super) fn is_new(&mut self, directory: u64, name: &OsStr) -> bool {
        self.names.insert(self.hasher.hash_one((directory, name)))
    }

    /// Whether a name was made or is going to be.
    pub(super) fn knows(&self, directory: u64, name: &OsStr) -> bool {
        self.names.contains(&self.hasher.hash_one((directory, name)))
    }

    /// Whether there are too many names to go on.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= NAMES
    }

    /// Makes a file, now or soon.
    ///
    /// # Errors
    /// Why an earlier one could not be made.
    pub(super) fn make(&mut self, job: Job) -> Result<()> {
        self.small += 1;
        self.batch.push(job);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        if self.small < WORTH || self.queue.is_busy() || !self.has_makers() {
            self.queue.work(batch, self.options);
            return self.queue.failure();
        }
        let mut state = self.queue.lock();
        state.waiting.push(batch);
        self.queue.changed.notify_all();
        state.error.take().map_or(Ok(()), Err)
    }

    /// Waits until everything is made.
    ///
    /// # Errors
    /// Why something could not be made.
    pub(super) fn settle(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        loop {
            self.queue.work(batch, self.options);
            // What nobody has begun is done here.
            let Some(next) = self.queue.lock().waiting.pop() else { break };
            batch = next;
        }
        let mut state = self.queue.lock();
        while state.held > 0 {
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// Ends; what was made, where that can be said.
    ///
    /// # Errors
    /// Why something could not be made.
    pub(super) fn finish(mut self) -> Result<Option<Usage>> {
        self.settle()?;
        let state = self.queue.lock();
        Ok((!state.replaced).then_some(state.made))
    }

    /// Starts threads that make files; whether there are any.
    fn has_makers(&mut self) -> bool {
        // This thread reads, and helps when there is too much.
        while self.makers.len() < (processors() - 1).min(MOST) {
            let (queue, options) = (Arc::clone(&self.queue), self.options);
            let maker = std::thread::Builder::new().name("unpack".into());
            let Ok(maker) = maker.spawn_scoped(self.scope, move || queue.serve(options)) else { break };
            self.makers.push(maker);
        }
        !self.makers.is_empty()
    }
}

impl Drop for Beside<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.ended = true;
        state.waiting.clear();
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_busy(&self) -> bool {
        self.lock().waiting.len() >= WAITING
    }

    fn failure(&self) -> Result<()> {
        self.lock().error.take().map_or(Ok(()), Err)
    }

    fn serve(&self, options: &ExtractOptions) {
        let mut state = self.lock();
        loop {
            let Some(batch) = state.waiting.pop() else {
                if state.ended {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.held += 1;
            drop(state);
            self.work(batch, options);
            state = self.lock();
            state.held -= 1;
            self.changed.notify_all();
        }
    }

    /// Makes all files of a batch, or those before the first that cannot be made.
    fn work(&self, batch: Vec<Job>, options: &ExtractOptions) {
        if batch.is_empty() {
            return;
        }
        let (mut made, mut replaced, mut error) = (Usage::default(), false, None);
        for job in batch {
            match make(&job, options) {
                Ok(Done::Made(Some(stat))) => made.add(&stat),
                Ok(_) => replaced = true,
                Err(failure) => {
                    error = Some(failure);
                    break;
                }
            }
        }
        let mut state = self.lock();
        state.made += made;
        state.replaced |= replaced;
        if let Some(error) = error {
            state.error.get_or_insert(error);
        }
    }
}

fn make(job: &Job, options: &ExtractOptions) -> Result<Done> {
    let name = job.path.file_name().unwrap_or_default();
    let place = Place { parent: job.parent.directory.as_fd(), name, path: &job.path, options };
    place.small_file(&job.entry, &job.content)
}
