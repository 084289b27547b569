//! The solver with operations that only pretend: what is done, how often, in which order, and what a failure leaves.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use oci::image::Descriptor;

use super::*;
use crate::operation::{Copy, Inline};

/// Pretends: a layer is the digest of what was done in which root with which files.
#[derive(Default)]
struct Pretender {
    /// Content of files by path, for contexts; results of stages are told by their layers.
    files: Mutex<BTreeMap<String, String>>,
    records: Mutex<HashMap<Key, Record>>,
    done: Mutex<Vec<String>>,
    running: AtomicUsize,
    most: AtomicUsize,
    /// Operations of this name wait until so many run.
    together: Option<(&'static str, usize)>,
    arrived: Condvar,
    gate: Mutex<()>,
    failing: Option<&'static str>,
    /// What a copy out of a stage finds there, whatever the stage's layers are.
    staged: Option<&'static str>,
    stopped: AtomicBool,
}

fn layer(text: &str) -> Layer {
    let digest = Digest::of(text.as_bytes());
    Layer { diff_id: digest.clone(), blob: Descriptor::new("layer", digest, 1) }
}

impl Worker for Pretender {
    type Error = String;
    type Turn = ();

    fn turn(&self, _: &Key) -> Result<(), Self::Error> {
        Ok(())
    }

    fn fingerprint(
        &self,
        _: VertexId,
        selection: &Selection,
        inputs: &[State],
    ) -> Result<Fingerprint, String> {
        let text = match &selection.origin {
            Origin::Context(_) => {
                let files = self.files.lock().unwrap();
                let path = &selection.paths[0];
                files.get(path).cloned().ok_or_else(|| format!("no {path}"))?
            }
            Origin::Input(input) => match self.staged {
                Some(text) => text.to_owned(),
                None => key::of_state(&inputs[*input]),
            },
            other => format!("{other:?}"),
        };
        Ok(Fingerprint { digest: Digest::of(text.as_bytes()), shape: Shape::File })
    }

    fn execute(
        &self,
        vertex: VertexId,
        operation: &Operation,
        inputs: &[State],
    ) -> Result<Option<Layer>, String> {
        let name = name_of(operation);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        if let Some((_, count)) = self.together.filter(|(together, _)| *together == name) {
            self.arrived.notify_all();
            let gate = self.gate.lock().unwrap();
            let few = |_: &mut ()| self.running.load(Ordering::SeqCst) < count;
            let waited = self.arrived.wait_timeout_while(gate, Duration::from_secs(20), few).unwrap();
            assert!(!waited.1.timed_out(), "{name} ran alone");
        }
        self.done.lock().unwrap().push(name.clone());
        if self.failing == Some(name.as_str()) {
            return Err(format!("{name} failed"));
        }
        let mut text = format!("{name} in {}", key::of_state(&inputs[0]));
        for selection in operation.selections() {
            text.push_str(self.fingerprint(vertex, selection, inputs)?.digest.as_str());
        }
        if self.together.is_none() {
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
        Ok((name != "nothing").then(|| layer(&text)))
    }

    fn find(&self, key: &Key) -> Option<Record> {
        self.records.lock().unwrap().get(key).cloned()
    }

    fn keep(&self, key: &Key, record: &Record, _: &State, _: VertexId) {
        self.records.lock().unwrap().insert(key.clone(), record.clone());
    }

    fn tell(&self, _: VertexId, _: &Event) {}

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn cancelled(&self) -> Option<String> {
        self.stopped.load(Ordering::SeqCst).then(|| "cancelled".to_owned())
    }
}

fn name_of(operation: &Operation) -> String {
    match operation {
        Operation::MakeDirectory { path, .. } => path.clone(),
        Operation::Copy(copy) => format!("copy to {}", copy.destination),
        other => format!("{other:?}"),
    }
}

#[derive(Default)]
struct Builder {
    graph: Graph,
}

impl Builder {
    fn add(&mut self, operation: Operation, inputs: &[VertexId]) -> VertexId {
        let layers = matches!(operation, Operation::Source(_)).then(|| State::from([layer("base")]));
        let (inputs, name) = (inputs.to_vec(), name_of(&operation));
        self.graph.add(Vertex { operation, inputs, name, ignore_cache: false, layers })
    }

    fn base(&mut self) -> VertexId {
        self.add(Operation::Source("base".to_owned()), &[])
    }

    fn step(&mut self, name: &str, inputs: &[VertexId]) -> VertexId {
        let operation =
            Operation::MakeDirectory { path: name.to_owned(), owner: String::new(), keep_empty: false };
        self.add(operation, inputs)
    }

    fn copy(&mut self, origin: Origin, path: &str, link: bool, inputs: &[VertexId]) -> VertexId {
        let selection = Selection { origin, paths: vec![path.to_owned()], exclude: Vec::new() };
        let copy = Copy {
            selections: vec![selection],
            destination: path.to_owned(),
            owner: None,
            mode: None,
            parents: false,
            unpack: None,
            archives: false,
            link,
        };
        self.add(Operation::Copy(copy), inputs)
    }
}

fn solved(builder: &Builder, target: VertexId, worker: &Pretender) -> Vec<Option<Done>> {
    solve(&builder.graph, &[target], 8, worker).expect("solves")
}

#[test]
fn what_nobody_needs_is_not_done() {
    let mut builder = Builder::default();
    let base = builder.base();
    let unused = builder.step("unused", &[base]);
    let target = builder.step("used", &[base]);
    let worker = Pretender::default();
    let results = solved(&builder, target, &worker);
    assert_eq!(*worker.done.lock().unwrap(), ["used"]);
    assert!(results[unused.0].is_none());
    assert_eq!(results[target.0].as_ref().unwrap().state.len(), 2, "the base's layer and its own");
}

#[test]
fn what_is_known_is_not_done_again_and_comes_out_the_same() {
    let mut builder = Builder::default();
    let base = builder.base();
    let first = builder.step("a", &[base]);
    let second = builder.step("nothing", &[first]);
    let target = builder.step("b", &[second]);
    let worker = Pretender::default();
    let one = solved(&builder, target, &worker);
    let other = solved(&builder, target, &worker);
    assert_eq!(*worker.done.lock().unwrap(), ["a", "nothing", "b"]);
    assert!(other[target.0].as_ref().unwrap().cached && !one[target.0].as_ref().unwrap().cached);
    assert_eq!(one[target.0].as_ref().unwrap().state, other[target.0].as_ref().unwrap().state);
    assert_eq!(one[target.0].as_ref().unwrap().created, other[target.0].as_ref().unwrap().created);
    assert_eq!(one[second.0].as_ref().unwrap().layer, None, "what changed nothing has no layer");
}

#[test]
fn stages_run_side_by_side() {
    let mut builder = Builder::default();
    let base = builder.base();
    let stages: Vec<VertexId> = (0..3)
        .map(|number| {
            let own = builder.step(&format!("stage {number}"), &[base]);
            builder.step("together", &[own])
        })
        .collect();
    let target = builder.add(Operation::Merge, &stages);
    let worker = Pretender { together: Some(("together", 6)), ..Pretender::default() };
    let results = solved(&builder, target, &worker);
    assert_eq!(worker.most.load(Ordering::SeqCst), 6, "three first steps were counted and never left");
    assert_eq!(results[target.0].as_ref().unwrap().state.len(), 9);
}

#[test]
fn no_more_run_than_are_allowed() {
    let mut builder = Builder::default();
    let base = builder.base();
    let steps: Vec<VertexId> = (0..50).map(|number| builder.step(&number.to_string(), &[base])).collect();
    let target = builder.add(Operation::Merge, &steps);
    let worker = Pretender::default();
    solve(&builder.graph, &[target], 2, &worker).expect("solves");
    assert_eq!(worker.done.lock().unwrap().len(), 50);
    assert!(worker.most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_changed_file_changes_what_stands_on_it_and_nothing_else() {
    let mut builder = Builder::default();
    let base = builder.base();
    let before = builder.step("before", &[base]);
    let copy = builder.copy(Origin::Context(String::new()), "f", false, &[before]);
    let target = builder.step("after", &[copy]);
    let worker = Pretender::default();
    let write = |text: &str| drop(worker.files.lock().unwrap().insert("f".to_owned(), text.to_owned()));
    write("one");
    solved(&builder, target, &worker);
    write("two");
    solved(&builder, target, &worker);
    write("one");
    solved(&builder, target, &worker);
    assert_eq!(
        *worker.done.lock().unwrap(),
        ["before", "copy to f", "after", "copy to f", "after"],
        "going back to a known file does nothing"
    );
}

#[test]
fn files_that_came_out_the_same_are_found_whatever_made_them() {
    let mut builder = Builder::default();
    let base = builder.base();
    let one = builder.step("one way", &[base]);
    let other = builder.step("another way", &[base]);
    let by_one = builder.copy(Origin::Input(1), "f", false, &[base, one]);
    let by_other = builder.copy(Origin::Input(1), "f", false, &[base, other]);
    let worker = Pretender { staged: Some("the same bytes"), ..Pretender::default() };
    solved(&builder, by_one, &worker);
    let results = solved(&builder, by_other, &worker);
    assert_eq!(*worker.done.lock().unwrap(), ["one way", "copy to f", "another way"]);
    assert!(results[by_other.0].as_ref().unwrap().cached);
}

#[test]
fn linked_layers_do_not_depend_on_what_is_below() {
    let mut builder = Builder::default();
    let base = builder.base();
    let other = builder.step("other", &[base]);
    let on_base = builder.copy(
        Origin::Inline(vec![Inline { name: "f".into(), content: "x".into() }]),
        "f",
        true,
        &[base],
    );
    let on_other = builder.copy(
        Origin::Inline(vec![Inline { name: "f".into(), content: "x".into() }]),
        "f",
        true,
        &[other],
    );
    let worker = Pretender::default();
    let one = solved(&builder, on_base, &worker);
    let two = solved(&builder, on_other, &worker);
    let layer = |results: &[Option<Done>], id: VertexId| results[id.0].as_ref().unwrap().layer.clone();
    assert_eq!(layer(&one, on_base), layer(&two, on_other));
    assert_eq!(two[on_other.0].as_ref().unwrap().state.len(), 3);
}

#[test]
fn ignoring_the_cache_does_it_again_and_remembers_it() {
    let mut builder = Builder::default();
    let base = builder.base();
    let target = builder.step("a", &[base]);
    let worker = Pretender::default();
    solved(&builder, target, &worker);
    let mut again = Builder::default();
    let base = again.base();
    let vertex = Vertex { ignore_cache: true, ..builder.graph.get(target).unwrap().clone() };
    let target = again.graph.add(Vertex { inputs: vec![base], ..vertex });
    assert!(!solved(&again, target, &worker)[target.0].as_ref().unwrap().cached);
    assert_eq!(worker.done.lock().unwrap().len(), 2);
}

#[test]
fn a_failure_ends_the_rest() {
    let mut builder = Builder::default();
    let base = builder.base();
    let bad = builder.step("bad", &[base]);
    let above = builder.step("above", &[bad]);
    let mut last = base;
    for number in 0..1000 {
        last = builder.step(&format!("other {number}"), &[last]);
    }
    let target = builder.add(Operation::Merge, &[above, last]);
    let worker = Pretender { failing: Some("bad"), ..Pretender::default() };
    let failure = solve(&builder.graph, &[target], 8, &worker).expect_err("fails");
    assert_eq!((failure.vertex, failure.error.as_str()), (bad, "bad failed"));
    assert!(worker.stopped.load(Ordering::SeqCst));
    let done = worker.done.lock().unwrap();
    assert!(!done.contains(&"above".to_owned()) && done.len() < 1001);
}

#[test]
fn missing_files_are_the_copy_s_failure() {
    let mut builder = Builder::default();
    let base = builder.base();
    let target = builder.copy(Origin::Context(String::new()), "gone", false, &[base]);
    let failure = solve(&builder.graph, &[target], 8, &Pretender::default()).expect_err("fails");
    assert_eq!((failure.vertex, failure.error.as_str()), (target, "no gone"));
}

#[test]
fn what_a_stage_adds_can_be_taken_alone() {
    let mut builder = Builder::default();
    let base = builder.base();
    let upper = builder.step("upper", &[base]);
    let target = builder.add(Operation::Diff, &[base, upper]);
    let results = solved(&builder, target, &Pretender::default());
    assert_eq!(results[target.0].as_ref().unwrap().state.len(), 1);
}
