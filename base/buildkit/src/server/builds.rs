//! The builds there are and the very last ones that were, found by the clients' names for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use grpc::{Cancellation, Code, Status};

use super::backend::Job;
use crate::control::SolveRequest;
use crate::ops::Definition;

/// Builds that stay here after their end, for listeners that come a moment late.
const REMEMBERED: usize = 4;
/// Results one build may have at once.
const RESULTS: usize = 256;

/// All builds.
#[derive(Debug)]
pub(super) struct Builds<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<R> {
    /// In the order they started.
    known: Vec<Arc<Build<R>>>,
    /// Counts changes, for listeners of the history.
    version: u64,
}

/// One build.
#[derive(Debug)]
pub(super) struct Build<R> {
    pub(super) job: Job,
    /// What the client asked for; the definition is left out.
    pub(super) request: SolveRequest,
    pub(super) created: SystemTime,
    state: Mutex<Inner<R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<R> {
    results: HashMap<String, R>,
    /// Graphs the client gave with its request, while the build lasts.
    inputs: BTreeMap<String, Definition>,
    /// What the client said its build gives, until somebody has taken it.
    returned: Option<Result<Option<R>, Status>>,
    has_returned: bool,
    end: Option<End>,
}

/// How a build ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) at: SystemTime,
    pub(super) outcome: Result<BTreeMap<String, String>, Status>,
}

impl<R> Default for Builds<R> {
    fn default() -> Self {
        Self { state: Mutex::new(State { known: Vec::new(), version: 0 }), changed: Condvar::new() }
    }
}

impl<R> Builds<R> {
    /// A build begins.
    pub(super) fn begin(
        &self,
        request: SolveRequest,
        inputs: BTreeMap<String, Definition>,
        job: Job,
    ) -> Result<Arc<Build<R>>, Status> {
        let mut state = self.lock();
        // The name of one that has ended is free again.
        state.known.retain(|build| build.job.reference != job.reference || build.end().is_none());
        if state.known.iter().any(|build| build.job.reference == job.reference) {
            return Err(Status::new(Code::AlreadyExists, format!("job ID {} exists", job.reference)));
        }
        let build = Arc::new(Build {
            job,
            request,
            created: SystemTime::now(),
            state: Mutex::new(Inner {
                results: HashMap::new(),
                inputs,
                returned: None,
                has_returned: false,
                end: None,
            }),
            changed: Condvar::new(),
        });
        state.known.push(Arc::clone(&build));
        self.changed(state);
        Ok(build)
    }

    /// Something about builds that are not here changed.
    pub(super) fn touch(&self) {
        self.changed(self.lock());
    }

    /// A build has ended; its results are freed.
    pub(super) fn end(&self, build: &Build<R>, outcome: Result<BTreeMap<String, String>, Status>) {
        let held = {
            let mut inner = build.lock();
            inner.end = Some(End { at: SystemTime::now(), outcome });
            (std::mem::take(&mut inner.results), inner.returned.take(), std::mem::take(&mut inner.inputs))
        };
        // Freeing a result may take a while.
        drop(held);
        build.job.progress.end();
        let mut state = self.lock();
        let ended = state.known.iter().filter(|build| build.end().is_some()).count();
        if ended > REMEMBERED
            && let Some(oldest) = state.known.iter().position(|build| build.end().is_some())
        {
            state.known.remove(oldest);
        }
        self.changed(state);
    }

    /// The build of a name, which may come a moment later than the question.
    pub(super) fn get(&self, reference: &str, patience: Duration) -> Result<Arc<Build<R>>, Status> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(build) = state.known.iter().find(|build| build.job.reference == reference) {
                return Ok(Arc::clone(build));
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Err(Status::new(Code::NotFound, format!("no such job {reference}")));
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Forgets a build that has ended; whether there was one.
    pub(super) fn forget(&self, reference: &str) -> bool {
        let mut state = self.lock();
        let place =
            state.known.iter().position(|build| build.job.reference == reference && build.end().is_some());
        if let Some(place) = place {
            state.known.remove(place);
            self.changed(state);
        }
        place.is_some()
    }

    /// All that are known, and the version that says so.
    pub(super) fn all(&self) -> (Vec<Arc<Build<R>>>, u64) {
        let state = self.lock();
        (state.known.clone(), state.version)
    }

    /// Waits until something changed since a version; whether it did before `until` was cancelled.
    pub(super) fn wait(&self, version: u64, until: &Cancellation) -> bool {
        let mut state = self.lock();
        while state.version == version {
            if until.is_cancelled() {
                return false;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !until.is_cancelled()
    }

    /// Wakes everybody who waits, so that they look at their cancellations.
    pub(super) fn nudge(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn changed(&self, mut state: MutexGuard<'_, State<R>>) {
        state.version += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Build<R> {
    /// How it ended, when it has.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// The graphs the client gave with its request.
    pub(super) fn inputs(&self) -> BTreeMap<String, Definition> {
        self.lock().inputs.clone()
    }

    /// Wakes whoever waits for the client's word, so that it looks at its cancellation.
    pub(super) fn nudge(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Clone> Build<R> {
    /// Keeps a result until the build ends; what the client names it by.
    pub(super) fn keep(&self, result: R) -> Result<String, Status> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Err(Status::new(Code::FailedPrecondition, "the build has ended"));
        }
        if inner.results.len() >= RESULTS {
            return Err(Status::new(Code::ResourceExhausted, "the build has too many results"));
        }
        let id = format!("{}-{}", self.job.reference, inner.results.len());
        inner.results.insert(id.clone(), result);
        Ok(id)
    }

    /// A result by its name.
    pub(super) fn result(&self, id: &str) -> Result<R, Status> {
        let found = self.lock().results.get(id).cloned();
        found.ok_or_else(|| Status::new(Code::NotFound, format!("no such ref: {id}")))
    }

    /// The client says what its build gives.
    pub(super) fn give_back(&self, returned: Result<Option<R>, Status>) -> Result<(), Status> {
        let mut inner = self.lock();
        if inner.has_returned {
            return Err(Status::new(Code::FailedPrecondition, "the build has returned already"));
        }
        inner.returned = Some(returned);
        inner.has_returned = true;
        drop(inner);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for what the client says its build gives.
    pub(super) fn wait_returned(&self) -> Result<Option<R>, Status> {
        let mut inner = self.lock();
        loop {
            if let Some(returned) = inner.returned.take() {
                return returned;
            }
            if self.job.cancellation.is_cancelled() {
                return Err(Status::new(Code::Cancelled, "context canceled"));
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
