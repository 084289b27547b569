//! The lines of the classic builder: steps in the order of the Dockerfile, though they are done side by side.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use api::image::Progress;
use builder::dockerfile::Finding;
use builder::plan::{Plan, Step};
use builder::solve::{Done, Event};
use builder::{Operation, VertexId};
use engine::build::{BuildError, Observer, Outcome};
use oci::Digest;

/// Lines of steps whose turn has not come, at most; later ones are dropped.
const MOST_HELD: usize = 100_000;

/// Says what a build does, each step when the ones before it are done.
pub(super) struct Lines<'k> {
    tell: Mutex<mpsc::Sender<Progress>>,
    knows: &'k (dyn Fn(&str) -> bool + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: Vec<Step>,
    /// ADD or COPY, by the vertices that are one.
    copies: HashMap<VertexId, &'static str>,
    /// WORKDIR.
    small: HashSet<VertexId>,
    vertices: HashMap<VertexId, Told>,
    /// The step whose turn it is.
    at: usize,
    /// Its first line is out.
    begun: bool,
    /// What tells the state before it from all others.
    id: String,
}

/// What is known of a vertex.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    done: Option<Done>,
}

impl<'k> Lines<'k> {
    pub(super) fn new(tell: mpsc::Sender<Progress>, knows: &'k (dyn Fn(&str) -> bool + Sync)) -> Self {
        Self { tell: Mutex::new(tell), knows, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, progress: Progress) {
        // Nobody listens any more: the build is about to be stopped.
        let _ = self.tell.lock().unwrap_or_else(PoisonError::into_inner).send(progress);
    }

    fn line(&self, text: impl Into<String>) {
        self.say(Progress::stream(text));
    }

    /// The instruction of a vertex that puts files somewhere.
    pub(super) fn copies(&self, vertex: VertexId) -> Option<&'static str> {
        self.lock().copies.get(&vertex).copied()
    }

    /// The last words of a build that succeeded.
    pub(super) fn finish(&self, outcome: &Outcome) {
        self.line(format!(" ---> {}\n", short(&outcome.id)));
        self.aux(&outcome.id);
        if !outcome.unused_arguments.is_empty() {
            let names = outcome.unused_arguments.join(" ");
            self.line(format!("[Warning] One or more build-args [{names}] were not consumed\n"));
        }
        self.line(format!("Successfully built {}\n", short(&outcome.id)));
        for name in &outcome.names {
            self.line(format!("Successfully tagged {name}\n"));
        }
    }

    /// What was going on when a build failed.
    pub(super) fn failed(&self, error: &BuildError) {
        if let BuildError::Base { step, .. } = error {
            self.line(format!("Step {}/{} : {}", step.number, step.total, step.text));
            self.line("\n");
        }
        let mut state = self.lock();
        let (BuildError::Step { vertex, .. }
        | BuildError::Refused { vertex, .. }
        | BuildError::Exit { vertex, .. }) = error
        else {
            return;
        };
        // What stands before it may not have been done; the one that failed is what people want to see.
        let failed = state.steps.iter().position(|step| step.vertex == Some(*vertex) && step.base.is_none());
        if let Some(failed) = failed.filter(|failed| *failed != state.at) {
            state.at = failed;
            state.begun = false;
            self.begin(&mut state);
            self.flush(&mut state, *vertex);
        }
    }

    fn aux(&self, id: &str) {
        let aux = Some(serde_json::json!({ "ID": id }));
        self.say(Progress { aux, ..Progress::default() });
    }

    fn begin(&self, state: &mut State) {
        if state.begun {
            return;
        }
        state.begun = true;
        let Some(step) = state.steps.get(state.at).filter(|step| !step.is_trigger) else { return };
        let counted = |steps: &[Step]| steps.iter().filter(|step| !step.is_trigger).count();
        let total = counted(&state.steps);
        let number = counted(state.steps.get(..=state.at).unwrap_or_default());
        self.line(format!("Step {number}/{total} : {}", step.text));
        self.line("\n");
    }

    /// What the classic builder says of a Dockerfile before it begins.
    fn warn(&self, plan: &Plan) {
        let mut told = false;
        for warning in plan.warnings.iter().filter(|warning| warning.finding == Finding::NoEmptyContinuation)
        {
            let is_there =
                |lines: builder::dockerfile::Lines| (lines.first..=lines.last).contains(&warning.lines.first);
            let step = plan.steps.iter().find(|step| step.lines.is_some_and(is_there));
            let text = step.map_or("", |step| step.text.as_str());
            self.red(&format!("[WARNING]: Empty continuation line found in: {text}\n"));
            told = true;
        }
        if told {
            self.red("[WARNING]: Empty continuation lines will become errors in a future release.\n");
        }
    }

    fn red(&self, text: &str) {
        self.line(format!("\u{1b}[91m{text}\u{1b}[0m"));
    }

    fn flush(&self, state: &mut State, vertex: VertexId) {
        let Some(told) = state.vertices.get_mut(&vertex) else { return };
        for line in std::mem::take(&mut told.lines) {
            self.line(line);
        }
    }

    /// Says everything whose turn has come.
    fn advance(&self, state: &mut State) {
        while let Some(step) = state.steps.get(state.at).cloned() {
            self.begin(state);
            if step.is_global {
                state.at += 1;
                state.begun = false;
                continue;
            }
            if let Some(base) = &step.base {
                if let Some(vertex) = step.vertex.filter(|_| base.is_empty())
                    && state.vertices.get(&vertex).is_none_or(|told| told.done.is_none())
                {
                    return;
                }
                state.id =
                    if base.is_empty() { hashed(&[&step.configuration, &state.id]) } else { base.clone() };
                if step.triggers > 0 {
                    let word = if step.triggers == 1 { "trigger" } else { "triggers" };
                    self.line(format!("# Executing {} build {word}", step.triggers));
                    self.line("\n");
                } else if base.is_empty() && step.vertex.is_none() {
                    // From scratch: nothing, which has no id.
                    self.line(" ---> \n");
                } else {
                    self.result(state);
                }
            } else if !self.instruction(state, &step) {
                return;
            }
            self.end_of_stage(state, &step);
            state.at += 1;
            state.begun = false;
        }
    }

    /// An instruction; whether it is over.
    fn instruction(&self, state: &mut State, step: &Step) -> bool {
        let Some(vertex) = step.vertex else {
            if let Some(note) = &step.note {
                self.line(format!("{note}\n"));
            }
            let id = hashed(&[&step.configuration, &step.text, &state.id]);
            self.small((self.knows)(&id));
            state.id = id;
            self.result(state);
            return true;
        };
        self.flush(state, vertex);
        let Some(done) = state.vertices.get(&vertex).and_then(|told| told.done.clone()) else { return false };
        if done.cached || state.small.contains(&vertex) {
            self.small(done.cached);
        }
        let layer = done.layer.as_ref().map_or("", |layer| layer.diff_id.as_str());
        state.id = hashed(&[&step.configuration, &step.text, layer, &state.id]);
        (self.knows)(&state.id);
        self.result(state);
        true
    }

    /// What Docker makes a container for that does nothing.
    fn small(&self, cached: bool) {
        if cached {
            return self.line(" ---> Using cache\n");
        }
        let container: String = model::id::random_hex().chars().take(12).collect();
        self.line(format!(" ---> Running in {container}\n"));
        self.line(format!(" ---> Removed intermediate container {container}\n"));
    }

    /// What a step came to; of triggers only the last one says it. The last step is the image, whose id is not known yet.
    fn result(&self, state: &State) {
        if state.steps.get(state.at + 1).is_some_and(|next| !next.is_trigger) {
            self.line(format!(" ---> {}\n", short(&state.id)));
        }
    }

    /// The id of a stage that another one comes after.
    fn end_of_stage(&self, state: &State, step: &Step) {
        let next = state.steps.get(state.at + 1);
        if next.is_some_and(|next| next.stage != step.stage) {
            self.aux(&state.id);
        }
    }
}

impl Observer for Lines<'_> {
    fn planned(&self, plan: &Plan) {
        let mut state = self.lock();
        state.steps.clone_from(&plan.steps);
        self.warn(plan);
        for (id, vertex) in plan.graph.vertices() {
            match &vertex.operation {
                Operation::Copy(copy) => {
                    state.copies.insert(id, if copy.archives { "ADD" } else { "COPY" });
                }
                Operation::MakeDirectory { .. } => {
                    state.small.insert(id);
                }
                _ => {}
            }
        }
        self.advance(&mut state);
    }

    fn event(&self, vertex: VertexId, event: &Event) {
        let mut state = self.lock();
        if let Event::Finished(done) = event {
            state.vertices.entry(vertex).or_default().done = Some(Done::clone(done));
        }
        self.advance(&mut state);
    }

    fn output(&self, vertex: VertexId, is_error: bool, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = if is_error { format!("\u{1b}[91m{text}\u{1b}[0m") } else { text.into_owned() };
        self.add(vertex, text);
    }

    fn running(&self, vertex: VertexId, container: &str) {
        self.add(vertex, format!(" ---> Running in {}\n", short(container)));
    }

    fn removed(&self, vertex: VertexId, container: &str) {
        self.add(vertex, format!(" ---> Removed intermediate container {}\n", short(container)));
    }

    fn fetching(&self, _: &str, progress: Progress) {
        self.say(progress);
    }
}

impl Lines<'_> {
    fn add(&self, vertex: VertexId, line: String) {
        let mut state = self.lock();
        let told = state.vertices.entry(vertex).or_default();
        if told.lines.len() < MOST_HELD {
            told.lines.push(line);
        }
        let turn = state.steps.get(state.at).is_some_and(|step| step.vertex == Some(vertex));
        if turn {
            self.flush(&mut state, vertex);
        }
    }
}

fn hashed(parts: &[&str]) -> String {
    Digest::of(parts.join("\0").as_bytes()).to_string()
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}
