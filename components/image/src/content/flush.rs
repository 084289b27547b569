//! Writes new blobs to disk beside everything else, so that the wait at the end is short.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use super::lock;
use crate::error::{Result, file_error};

/// Files on their way to disk. The thread lives as long as there is work.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(File, PathBuf)>,
    working: bool,
    /// The first failure nobody has heard of yet.
    failure: Option<(PathBuf, io::Error)>,
}

impl Flusher {
    /// Starts to flush a file; without a thread it happens here and now.
    pub(super) fn add(&self, file: File, path: PathBuf) {
        let mut state = lock(&self.queue.state);
        state.waiting.push_back((file, path));
        if state.working {
            return;
        }
        state.working = true;
        drop(state);
        let queue = Arc::clone(&self.queue);
        let started = std::thread::Builder::new().name("blob-flush".into()).spawn(move || queue.work());
        if started.is_err() {
            self.queue.work();
        }
    }

    /// Waits until all is on disk.
    pub(super) fn wait(&self) -> Result<()> {
        let mut state = lock(&self.queue.state);
        while state.working {
            state = self.queue.done.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state.failure.take().map_or(Ok(()), |(path, error)| Err(file_error("flush", &path)(error)))
    }
}

impl Queue {
    fn work(&self) {
        loop {
            let mut state = lock(&self.state);
            let Some((file, path)) = state.waiting.pop_front() else {
                state.working = false;
                self.done.notify_all();
                return;
            };
            drop(state);
            if let Err(error) = file.sync_data() {
                lock(&self.state).failure.get_or_insert((path, error));
            }
        }
    }
}
