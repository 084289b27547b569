//! What the solver does as BuildKit's clients show it: steps with names and numbers, their output, their ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use builder::dockerfile::Lines;
use builder::operation::Origin;
use builder::plan::{Plan, Step};
use builder::solve::Event;
use builder::{Operation, VertexId};
use buildkit::control::{Vertex, VertexStatus};
use buildkit::server::{Context, Job, Wish};
use engine::build::{Cancel, Observer};
use grpc::{Code, Status};

use super::explain::Told;
use super::fetching::Fetching;
use super::files::Files;
use super::{lint, vertex};

/// Tells the client of a build what goes on, and gets the contexts when it is known what they are needed for.
pub(super) struct Steps<'b> {
    job: &'b Job,
    wish: &'b Wish,
    files: &'b Files,
    cancel: &'b Cancel,
    /// Before the names of steps, where there are several platforms.
    platform: Option<String>,
    began: SystemTime,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    vertices: HashMap<VertexId, Vertex>,
    lines: HashMap<VertexId, Lines>,
    commands: HashMap<VertexId, Vec<String>>,
    /// Images that are being looked for, by their whole names.
    fetching: BTreeMap<String, Fetching>,
    /// Steps that have failed, but nobody said yet why; clients would take them for done.
    unsaid: BTreeSet<VertexId>,
    failure: Option<Status>,
    told: Told,
}

impl<'b> Steps<'b> {
    pub(super) fn new(
        job: &'b Job,
        wish: &'b Wish,
        files: &'b Files,
        cancel: &'b Cancel,
        platform: Option<String>,
    ) -> Self {
        Self { job, wish, files, cancel, platform, began: SystemTime::now(), state: Mutex::default() }
    }

    /// What the steps were made of, as far as they came.
    pub(super) fn take_told(&self) -> Told {
        std::mem::take(&mut self.lock().told)
    }

    /// Why the contexts could not be had.
    pub(super) fn failure(&self) -> Option<Status> {
        self.lock().failure.take()
    }

    /// Where the instruction of a step stands.
    pub(super) fn lines(&self, vertex: VertexId) -> Option<Lines> {
        self.lock().lines.get(&vertex).copied()
    }

    /// The words of a step that runs a command.
    pub(super) fn command(&self, vertex: VertexId) -> Option<Vec<String>> {
        self.lock().commands.get(&vertex).cloned()
    }

    /// A line of a step, as if its command had written it.
    pub(super) fn complain(&self, vertex: VertexId, line: &str) {
        self.job.progress.log(&self.digest(vertex), 2, format!("{line}\n").as_bytes());
    }

    /// The name of a step in the news.
    pub(super) fn digest(&self, vertex: VertexId) -> String {
        self.lock().vertices.get(&vertex).map(|vertex| vertex.digest.clone()).unwrap_or_default()
    }

    /// A step failed, and now it is known why.
    pub(super) fn failed(&self, vertex: VertexId, error: &str) {
        self.lock().unsaid.remove(&vertex);
        self.change(vertex, |vertex| error.clone_into(&mut vertex.error));
    }

    /// Nothing more will happen: what failed without a reason of its own was stopped for the one that is known.
    pub(super) fn end(&self) {
        let stopped = std::mem::take(&mut self.lock().unsaid);
        for vertex in stopped {
            self.failed(vertex, "context canceled");
        }
    }

    fn change(&self, vertex: VertexId, change: impl FnOnce(&mut Vertex)) {
        let mut state = self.lock();
        if let Some(vertex) = state.vertices.get_mut(&vertex) {
            change(vertex);
            self.job.progress.vertex(vertex.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets what the steps need of the client's folders.
    fn fetch_contexts(&self, plan: &Plan, needed: &[bool]) -> Result<(), Status> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, vertex) in plan.graph.vertices().filter(|(id, _)| needed.get(id.0) == Some(&true)) {
            let _ = id;
            for selection in vertex.operation.selections() {
                if let Origin::Context(name) = &selection.origin {
                    wanted.entry(name.clone()).or_default().extend(selection.paths.iter().cloned());
                }
            }
        }
        wanted.iter().try_for_each(|(name, paths)| self.files.fetch(name, paths, self.job))
    }

    /// Commands may not take part in the machine's network, or leave their sandbox, without having been allowed to.
    fn check_entitlements(&self, plan: &Plan, needed: &[bool]) -> Result<(), Status> {
        for (_, vertex) in plan.graph.vertices().filter(|(id, _)| needed.get(id.0) == Some(&true)) {
            let Operation::Exec(exec) = &vertex.operation else { continue };
            let wanted = [(exec.network == "host", "network.host"), (exec.insecure, "security.insecure")];
            for (is_wanted, entitlement) in wanted {
                if is_wanted && !self.wish.is_entitled(entitlement) {
                    let text = format!("failed to load LLB: {entitlement} is not allowed");
                    return Err(Status::new(Code::Unknown, text));
                }
            }
        }
        Ok(())
    }

    /// Tells of the images that were found for stages to begin with.
    fn tell_bases(&self, plan: &Plan) {
        let mut state = self.lock();
        for step in plan.steps.iter().filter(|step| step.base.as_ref().is_some_and(|base| !base.is_empty())) {
            let (name, title) = match &step.context {
                None => (whole_name(step.shown.strip_prefix("FROM ").unwrap_or(&step.shown)), None),
                Some(name) => match self.wish.contexts.get(name) {
                    Some(Context::Image(image)) => {
                        (image.clone(), Some(format!("[context {name}] load metadata for {image}")))
                    }
                    // It is known already.
                    _ => continue,
                },
            };
            let title = title.unwrap_or_else(|| Fetching::title(&name));
            state.fetching.entry(name).or_insert_with(|| Fetching::new(title, self.began));
        }
        for fetching in std::mem::take(&mut state.fetching).into_values() {
            self.job.progress.vertex(fetching.end(""));
        }
    }

    /// What steps are called that are named contexts stages begin with.
    fn context_names(&self, plan: &Plan) -> HashMap<VertexId, String> {
        let name = |step: &Step| {
            let (vertex, context) = (step.vertex?, step.context.as_ref()?);
            let what = match self.wish.contexts.get(context) {
                Some(Context::Image(image)) => image.as_str(),
                Some(Context::Local(_)) => "files",
                _ => "result",
            };
            Some((vertex, format!("[context {context}] {what}")))
        };
        plan.steps.iter().filter_map(name).collect()
    }

    /// An image was not to be had.
    pub(super) fn base_failed(&self, image: &str, error: &str) {
        let mut state = self.lock();
        let name = whole_name(image);
        let mut contexts = self.wish.contexts.iter();
        let context =
            contexts.find(|(_, context)| matches!(context, Context::Image(known) if known == image));
        let title = match context {
            Some((known, _)) => format!("[context {known}] load metadata for {image}"),
            None => Fetching::title(&name),
        };
        state.fetching.entry(name).or_insert_with(|| Fetching::new(title, self.began));
        for fetching in std::mem::take(&mut state.fetching).into_values() {
            self.job.progress.vertex(fetching.end(error));
        }
    }
}

impl Observer for Steps<'_> {
    fn planned(&self, plan: &Plan) {
        self.tell_bases(plan);
        for warning in &plan.warnings {
            self.job.progress.warning(lint::warning(warning, &self.files.dockerfile));
        }
        let targets: Vec<VertexId> = plan.target.into_iter().collect();
        let needed = plan.graph.needed(&targets);
        let names = names(&plan.steps, plan.is_alone, self.platform.as_deref());
        let contexts = self.context_names(plan);
        let mut known = BTreeSet::new();
        let mut state = self.lock();
        for step in &plan.steps {
            if let (Some(vertex), Some(lines)) = (step.vertex, step.lines) {
                state.lines.entry(vertex).or_insert(lines);
            }
        }
        for (id, planned) in plan.graph.vertices().filter(|(id, _)| needed.get(id.0) == Some(&true)) {
            let name = names.get(&id).or_else(|| contexts.get(&id)).cloned();
            let name = name.unwrap_or_else(|| planned.name.clone());
            state.told.plan(id, &name, planned);
            if let Operation::Exec(exec) = &planned.operation {
                state.commands.insert(id, exec.arguments.clone());
            }
            let inputs = planned.inputs.iter();
            let inputs =
                inputs.filter_map(|input| state.vertices.get(input)).map(|input| input.digest.clone());
            let inputs: Vec<String> = inputs.collect();
            let news = Vertex {
                digest: stable_digest(&name, &planned.operation, &inputs, &mut known),
                inputs,
                name,
                ..Vertex::default()
            };
            let is_scratch =
                matches!(&planned.operation, Operation::Source(_)) && planned.name == "FROM scratch";
            // That the files came is told already.
            let is_context =
                matches!(&planned.operation, Operation::Copy(_)) && planned.name.starts_with("[context ");
            if !is_scratch && !is_context {
                self.job.progress.vertex(news.clone());
                state.vertices.insert(id, news);
            }
        }
        drop(state);
        let ready = self.check_entitlements(plan, &needed).and_then(|()| self.fetch_contexts(plan, &needed));
        if let Err(failure) = ready {
            self.lock().failure = Some(failure);
            self.cancel.stop();
        }
    }

    fn event(&self, vertex: VertexId, event: &Event) {
        if let Event::Finished(done) = event {
            self.lock().told.end(vertex, done);
        }
        let now = Some(SystemTime::now().into());
        if matches!(event, Event::Failed) {
            let mut state = self.lock();
            let State { vertices, unsaid, .. } = &mut *state;
            if let Some(news) = vertices.get_mut(&vertex) {
                news.completed = now;
                unsaid.insert(vertex);
            }
            return;
        }
        self.change(vertex, |vertex| match event {
            Event::Started => vertex.started = now,
            Event::Finished(done) => {
                vertex.started.get_or_insert_with(|| SystemTime::now().into());
                vertex.completed = now;
                vertex.cached = done.cached;
            }
            Event::Failed => {}
        });
    }

    fn output(&self, vertex: VertexId, is_error: bool, bytes: &[u8]) {
        self.job.progress.log(&self.digest(vertex), if is_error { 2 } else { 1 }, bytes);
    }

    fn running(&self, _: VertexId, _: &str) {}

    fn removed(&self, _: VertexId, _: &str) {}

    fn shell(&self, _: VertexId, container: &str) {
        let (name, now) =
            ("[internal] shell in the state of the failed step", Some(SystemTime::now().into()));
        let digest = vertex::digest(&format!("{name} {container}"));
        let step =
            Vertex { digest: digest.clone(), name: name.into(), started: now.clone(), ..Vertex::default() };
        self.job.progress.vertex(step.clone());
        self.job.progress.status(VertexStatus {
            id: container.to_owned(),
            vertex: digest,
            timestamp: now.clone(),
            started: now.clone(),
            completed: now.clone(),
            ..VertexStatus::default()
        });
        self.job.progress.vertex(Vertex { completed: now, ..step });
    }

    fn fetching(&self, name: &str, progress: api::image::Progress) {
        let mut state = self.lock();
        let news = match state.fetching.get_mut(name) {
            Some(fetching) => fetching.layer(&progress),
            None => {
                let mut fetching = Fetching::new(Fetching::title(name), SystemTime::now());
                self.job.progress.vertex(fetching.vertex.clone());
                let news = fetching.layer(&progress);
                state.fetching.insert(name.to_owned(), fetching);
                news
            }
        };
        drop(state);
        if let Some(news) = news {
            self.job.progress.status(news);
        }
    }
}

/// `[stage 2/4] RUN ...` for the steps that do something; the name of a stage that is alone is not said. A stage that begins
/// with a named context counts it, but numbers go to the others.
fn names(steps: &[Step], is_alone: bool, platform: Option<&str>) -> HashMap<VertexId, String> {
    let platform = platform.map(|platform| format!("{platform} ")).unwrap_or_default();
    let mut names = HashMap::new();
    let mut stages: Vec<usize> = steps.iter().map(|step| step.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    for stage in stages {
        let of_stage = || steps.iter().filter(move |step| step.stage == stage);
        // Triggers are told with numbers, but nobody counted them.
        let total = of_stage().filter(|step| step.is_counted).count();
        let width = total.to_string().len();
        let is_told = |step: &&Step| (step.is_counted && step.context.is_none()) || step.is_trigger;
        let told = of_stage().filter(is_told).filter_map(|step| Some((step, step.vertex?)));
        for (number, (step, vertex)) in told.enumerate() {
            let prefix = match &step.stage_name {
                _ if is_alone => String::new(),
                Some(name) => format!("{name} "),
                None => format!("stage-{stage} "),
            };
            let name = format!("[{platform}{prefix}{:>width$}/{total}] {}", number + 1, text(step));
            names.entry(vertex).or_insert(name);
        }
    }
    names
}

/// An instruction as it is shown; an image by its whole name.
fn text(step: &Step) -> String {
    let Some(named) = step.shown.strip_prefix("FROM ").filter(|_| step.base.is_some()) else {
        return step.shown.clone();
    };
    format!("FROM {}", whole_name(named))
}

/// The whole name of an image.
pub(super) fn whole_name(name: &str) -> String {
    let whole = name.parse::<oci::Reference>().map(|reference| reference.or_latest().canonical());
    whole.unwrap_or_else(|_| name.to_owned())
}

/// What names a step in the news: the same in all builds that do the same, and no other's in this one.
fn stable_digest(
    name: &str,
    operation: &Operation,
    inputs: &[String],
    known: &mut BTreeSet<String>,
) -> String {
    let what = serde_json::to_string(operation).unwrap_or_default();
    let mut text = format!("{name}\n{}\n{what}", inputs.join(" "));
    loop {
        let digest = vertex::digest(&text);
        if known.insert(digest.clone()) {
            return digest;
        }
        text.push('+');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(stage: usize, name: Option<&str>, text: &str, vertex: Option<usize>, base: Option<&str>) -> Step {
        Step {
            stage,
            stage_name: name.map(str::to_owned),
            shown: text.into(),
            is_counted: base.is_some_and(|base| !base.is_empty()) || (base.is_none() && vertex.is_some()),
            vertex: vertex.map(VertexId),
            base: base.map(str::to_owned),
            ..Step::default()
        }
    }

    #[test]
    fn named_contexts_count_and_have_no_number() {
        let mut from = step(0, None, "FROM below", Some(0), Some("sha256:1"));
        from.context = Some("below".into());
        let steps = [
            from,
            step(0, None, "COPY --from=img /x /y", Some(1), None),
            step(0, None, "RUN x", Some(2), None),
        ];
        assert_eq!(shown(&steps, false), ["[stage-0 1/3] COPY --from=img /x /y", "[stage-0 2/3] RUN x"]);
        let mounts = step(0, None, "RUN --mount=type=tmpfs,target=/t x", Some(1), None);
        assert_eq!(shown(&[mounts], false), ["[stage-0 1/1] RUN --mount=type=tmpfs,target=/t x"]);
    }

    fn shown(steps: &[Step], is_alone: bool) -> Vec<String> {
        let mut names: Vec<_> = names(steps, is_alone, None).into_iter().collect();
        names.sort();
        names.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn digests_are_stable_and_tell_steps_apart() {
        let (operation, other) = (Operation::Merge, Operation::Diff);
        let digest = |known: &mut BTreeSet<String>, operation| stable_digest("RUN x", operation, &[], known);
        let mut known = BTreeSet::new();
        let first = digest(&mut known, &operation);
        assert_eq!(first, digest(&mut BTreeSet::new(), &operation));
        assert_ne!(first, digest(&mut known, &operation), "two steps are two");
        assert_ne!(first, digest(&mut BTreeSet::new(), &other));
    }

    #[test]
    fn steps_are_named_and_counted_as_buildkit_does() {
        let steps = [
            step(0, Some("base"), "FROM busybox", Some(0), Some("sha256:1")),
            step(0, Some("base"), "RUN x", Some(1), None),
            step(0, Some("base"), "ENV A=b", None, None),
            step(1, None, "FROM base", Some(1), Some("")),
            step(1, None, "COPY --from=base /x /y", Some(2), None),
            step(1, None, "WORKDIR /z", Some(3), None),
        ];
        assert_eq!(
            shown(&steps, false),
            [
                "[base 1/2] FROM docker.io/library/busybox:latest",
                "[base 2/2] RUN x",
                "[stage-1 1/2] COPY --from=base /x /y",
                "[stage-1 2/2] WORKDIR /z",
            ]
        );
        let single = [
            step(0, Some("a"), "FROM a.test/b:1", Some(0), Some("sha256:1")),
            Step { is_counted: false, is_trigger: true, ..step(0, Some("a"), "RUN trigger", Some(1), None) },
            Step { is_counted: true, ..step(0, Some("a"), "WORKDIR /", None, None) },
            step(0, Some("a"), "RUN y", Some(2), None),
        ];
        let expected = ["[1/3] FROM a.test/b:1", "[2/3] RUN trigger", "[3/3] RUN y"];
        assert_eq!(shown(&single, true), expected);
    }
}
