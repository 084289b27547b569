//! The solver: works a graph off, side by side where it can, and does nothing whose result is known.
//!
//! What an operation needs is known when its inputs are: their layers, and through the worker the content of the files
//! it reads. Files of another vertex are first looked for by the layers they are in, which costs nothing; only when
//! that is not known are they read, and then files that came out the same are found although their layers did not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use model::Timestamp;
use oci::Digest;

use crate::graph::{Graph, Layer, State, Vertex};
use crate::key::{self, Key};
use crate::operation::{Operation, Origin, Selection, VertexId};

/// Does the work, and remembers results.
pub trait Worker: Sync {
    /// Why something could not be done.
    type Error: Send;
    /// Held while a result is made.
    type Turn;

    /// The digest of some files: of their names, kinds, permissions, owners and bytes, not of their times.
    ///
    /// # Errors
    /// When they are not there or cannot be read.
    fn fingerprint(
        &self,
        vertex: VertexId,
        selection: &Selection,
        inputs: &[State],
    ) -> Result<Fingerprint, Self::Error>;

    /// Does an operation; the layer with what it changed, if it changed anything.
    ///
    /// # Errors
    /// Whatever went wrong; nothing is left behind.
    fn execute(
        &self,
        vertex: VertexId,
        operation: &Operation,
        inputs: &[State],
    ) -> Result<Option<Layer>, Self::Error>;

    /// A result that is known and whose layer can be had.
    fn find(&self, key: &Key) -> Option<Record>;

    /// Waits while somebody else makes the result of a key; who has the turn looks again whether it is known by now.
    ///
    /// # Errors
    /// When it is not wanted any more.
    fn turn(&self, key: &Key) -> Result<Self::Turn, Self::Error>;

    /// Remembers a result of an operation in a root.
    fn keep(&self, key: &Key, record: &Record, root: &State, vertex: VertexId);

    /// Told what happens.
    fn tell(&self, vertex: VertexId, event: &Event);

    /// Something failed: what runs is to end soon.
    fn stop(&self);

    /// Whether all this is wanted no more, and how that is said.
    fn cancelled(&self) -> Option<Self::Error>;
}

/// What some files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The digest of all of them.
    pub digest: Digest,
    /// What they are together.
    pub shape: Shape,
}

/// What COPY or ADD puts somewhere, as the classic history calls it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Shape {
    /// One file.
    #[default]
    File,
    /// One folder.
    Folder,
    /// Several of either.
    Several,
}

impl Shape {
    /// The word before the digest.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "dir",
            Self::Several => "multi",
        }
    }
}

/// What happens at a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is looked at.
    Started,
    /// It is finished, and how.
    Finished(Box<Done>),
    /// It failed; the error comes with the end of it all.
    Failed,
}

/// A result as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// The layer; none when nothing changed.
    pub layer: Option<Layer>,
    /// When it was made.
    pub created: Timestamp,
    /// What the files were that it read.
    pub sources: Vec<Digest>,
    /// What they were together.
    #[serde(default)]
    pub shape: Shape,
    /// It is somebody else's, and not to be remembered as an own one.
    #[serde(skip)]
    pub imported: bool,
}

/// The end of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its root.
    pub state: State,
    /// The layer it added.
    pub layer: Option<Layer>,
    /// When that was made; none for sources.
    pub created: Option<Timestamp>,
    /// What the files were that it read.
    pub sources: Vec<Digest>,
    /// What they were together.
    pub shape: Shape,
    /// It was known.
    pub cached: bool,
    /// What it is remembered under; nothing for what is not remembered.
    pub keys: Vec<Key>,
}

/// Where and why it ended.
#[derive(Debug)]
pub struct Failure<E> {
    /// The vertex.
    pub vertex: VertexId,
    /// The reason.
    pub error: E,
}

/// Works off what some vertices need; the results by their places, none for those that were not needed.
///
/// # Errors
/// The first failure. What ran beside it has been stopped.
pub fn solve<W: Worker>(
    graph: &Graph,
    targets: &[VertexId],
    parallel: usize,
    worker: &W,
) -> Result<Vec<Option<Done>>, Failure<W::Error>> {
    let needed = graph.needed(targets);
    let wanted = |id: &VertexId| needed.get(id.0) == Some(&true);
    let mut progress = Progress {
        ready: BTreeSet::new(),
        missing: vec![0; graph.len()],
        above: vec![Vec::new(); graph.len()],
        results: vec![None; graph.len()],
        // This one.
        threads: 1,
        failure: None,
    };
    for (id, vertex) in graph.vertices().filter(|(id, _)| wanted(id)) {
        let inputs: BTreeSet<VertexId> = vertex.inputs.iter().copied().collect();
        if inputs.is_empty() {
            progress.ready.insert(id);
        }
        if let Some(missing) = progress.missing.get_mut(id.0) {
            *missing = inputs.len();
        }
        for input in inputs {
            if let Some(above) = progress.above.get_mut(input.0) {
                above.push(id);
            }
        }
    }
    let run = Run { graph, worker, parallel: parallel.max(1), progress: Mutex::new(progress) };
    std::thread::scope(|scope| run.work(scope));
    let progress = run.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    match progress.failure {
        Some(failure) => Err(failure),
        None => Ok(progress.results),
    }
}

struct Progress<E> {
    /// Can be done now; the earliest first.
    ready: BTreeSet<VertexId>,
    /// Inputs each vertex still waits for.
    missing: Vec<usize>,
    /// Which vertices wait for each.
    above: Vec<Vec<VertexId>>,
    results: Vec<Option<Done>>,
    threads: usize,
    failure: Option<Failure<E>>,
}

struct Run<'g, W: Worker> {
    graph: &'g Graph,
    worker: &'g W,
    parallel: usize,
    progress: Mutex<Progress<W::Error>>,
}

impl<'g, W: Worker> Run<'g, W> {
    fn lock(&self) -> MutexGuard<'_, Progress<W::Error>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As many threads as there is work for.
    fn spread<'s>(&'s self, scope: &'s Scope<'s, '_>, mut progress: MutexGuard<'_, Progress<W::Error>>) {
        let more = progress.ready.len().min(self.parallel.saturating_sub(progress.threads));
        progress.threads += more;
        drop(progress);
        for _ in 0..more {
            scope.spawn(move || self.work(scope));
        }
    }

    /// Works until nothing is ready; what gets ready through this thread beyond one is given to others.
    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        loop {
            let mut progress = self.lock();
            let next = if progress.failure.is_some() { None } else { progress.ready.pop_first() };
            let Some(id) = next else {
                progress.threads -= 1;
                return;
            };
            self.spread(scope, progress);
            let Some(vertex) = self.graph.get(id) else { continue };
            let inputs = self.inputs(vertex);
            let result = match self.worker.cancelled() {
                Some(error) => Err(error),
                None => self.vertex(id, vertex, &inputs),
            };
            self.finish(id, result);
        }
    }

    fn inputs(&self, vertex: &Vertex) -> Vec<State> {
        let progress = self.lock();
        let state = |id: &VertexId| {
            let done = progress.results.get(id.0).and_then(Option::as_ref);
            done.map(|done| Arc::clone(&done.state)).unwrap_or_default()
        };
        vertex.inputs.iter().map(state).collect()
    }

    fn finish(&self, id: VertexId, result: Result<Done, W::Error>) {
        let event = match &result {
            Ok(done) => Event::Finished(Box::new(done.clone())),
            Err(_) => Event::Failed,
        };
        self.worker.tell(id, &event);
        let mut progress = self.lock();
        match result {
            Ok(done) => {
                if let Some(place) = progress.results.get_mut(id.0) {
                    *place = Some(done);
                }
                for above in progress.above.get_mut(id.0).map(std::mem::take).unwrap_or_default() {
                    let Some(missing) = progress.missing.get_mut(above.0) else { continue };
                    *missing -= 1;
                    if *missing == 0 {
                        progress.ready.insert(above);
                    }
                }
            }
            Err(error) => {
                let first = progress.failure.is_none();
                progress.failure.get_or_insert(Failure { vertex: id, error });
                drop(progress);
                if first {
                    self.worker.stop();
                }
            }
        }
    }

    fn vertex(&self, id: VertexId, vertex: &Vertex, inputs: &[State]) -> Result<Done, W::Error> {
        self.worker.tell(id, &Event::Started);
        let root = inputs.first().cloned().unwrap_or_default();
        let plain = |state: State| Done {
            state,
            layer: None,
            created: None,
            sources: Vec::new(),
            shape: Shape::File,
            cached: true,
            keys: Vec::new(),
        };
        match &vertex.operation {
            Operation::Source(_) => Ok(plain(vertex.layers.clone().unwrap_or_default())),
            Operation::Merge => {
                Ok(plain(inputs.iter().flat_map(|state| state.iter().cloned()).collect::<Vec<_>>().into()))
            }
            Operation::Diff => {
                let upper = inputs.get(1).cloned().unwrap_or_default();
                let own = upper.get(root.len()..).filter(|_| upper.starts_with(&root));
                Ok(plain(own.unwrap_or(&upper).to_vec().into()))
            }
            operation => self.cached_or_done(id, vertex, operation, &root, inputs),
        }
    }

    fn cached_or_done(
        &self,
        id: VertexId,
        vertex: &Vertex,
        operation: &Operation,
        root: &State,
        inputs: &[State],
    ) -> Result<Done, W::Error> {
        let below: &[Layer] = if is_independent(operation) { &[] } else { root };
        let finished = |record: Record, cached: bool, keys: Vec<Key>| {
            let state = match &record.layer {
                Some(layer) => root.iter().chain([layer]).cloned().collect::<Vec<_>>().into(),
                None => Arc::clone(root),
            };
            let Record { layer, created, sources, shape, .. } = record;
            Done { state, layer, created: Some(created), sources, shape, cached, keys }
        };
        let quick = quick_key(operation, below, inputs);
        let known = |key: &Key| self.worker.find(key).filter(|_| !vertex.ignore_cache);
        if let Some(record) = quick.as_ref().and_then(known) {
            return Ok(finished(record, true, quick.into_iter().collect()));
        }
        let (mut sources, mut shape) = (Vec::new(), Shape::File);
        for selection in operation.selections() {
            let found = self.worker.fingerprint(id, selection, inputs)?;
            shape = if sources.is_empty() { found.shape } else { Shape::Several };
            sources.push(found.digest);
        }
        let texts = sources.iter().map(ToString::to_string).collect();
        let key = key::of(operation, "content", below, texts);
        let keep = |key: &Key, record: &Record| self.worker.keep(key, record, root, id);
        let (record, cached) = match known(&key) {
            Some(record) => (record, true),
            None => {
                // Somebody who wants it made anew waits for nobody.
                let turn = (!vertex.ignore_cache).then(|| self.worker.turn(&key)).transpose()?;
                let made = match turn.as_ref().and_then(|_| known(&key)) {
                    Some(record) => (record, true),
                    None => {
                        let layer = self.worker.execute(id, operation, inputs)?;
                        let record =
                            Record { layer, created: Timestamp::now(), sources, shape, imported: false };
                        keep(&key, &record);
                        (record, false)
                    }
                };
                drop(turn);
                made
            }
        };
        if let Some(quick) = &quick {
            keep(quick, &record);
        }
        Ok(finished(record, cached, std::iter::once(key).chain(quick).collect()))
    }
}

/// Whether the layer would be the same above any root.
fn is_independent(operation: &Operation) -> bool {
    matches!(operation, Operation::Copy(copy) if copy.link)
}

/// The key with layers in place of files; none when it would say the same as the other one, or files come from outside.
fn quick_key(operation: &Operation, below: &[Layer], inputs: &[State]) -> Option<Key> {
    let selections = operation.selections();
    if selections.is_empty() {
        return None;
    }
    let text = |selection: &&Selection| match &selection.origin {
        Origin::Input(input) => inputs.get(*input).map(|state| key::of_state(state)),
        // What they are is in the operation.
        Origin::Inline(_) => Some(String::new()),
        Origin::Context(_) | Origin::Remote(_) => None,
    };
    let texts: Option<Vec<String>> = selections.iter().map(text).collect();
    texts.map(|texts| key::of(operation, "layers", below, texts))
}

#[cfg(test)]
mod tests;
