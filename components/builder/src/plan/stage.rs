//! Stages: each is planned when somebody needs it, so that those nobody needs cost nothing.

use std::collections::HashMap;

use oci::image::ImageConfig;

use super::check::{Found, Seen};
use super::history::Past;
use super::scope::{Globals, Scope, placed_problem};
use super::{Base, Bases, NamedContext, Options, Plan, PlanError, Step, Style, target};
use crate::dockerfile::{Dockerfile, Instruction, Lines, Placed, Problem, Stage, trigger_instruction};
use crate::graph::{Graph, Vertex};
use crate::operation::{Operation, Origin, VertexId};

/// Deepest nesting of stages that need each other.
const DEEPEST: usize = 500;

/// What Docker gives images that are made from nothing.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn plan<B: Bases>(
    file: &Dockerfile,
    options: &Options,
    bases: &mut B,
) -> Result<Plan, PlanError<B::Error>> {
    let target = target(file, options)?;
    let globals = Globals::new(file, options)?;
    let found = Found::new(file, options)?;
    found.check_bases(file, options, &globals);
    let mut planner = Planner {
        file,
        options,
        globals: &globals,
        found,
        bases,
        graph: Graph::default(),
        stages: HashMap::new(),
        images: HashMap::new(),
        depth: 0,
    };
    if options.only_checks && options.target.is_none() {
        (0..target).try_for_each(|index| planner.stage(index))?;
    }
    planner.stage(target)?;
    let mut finished = planner.stages.remove(&target).unwrap_or_default();
    planner.labels(&mut finished);
    let mut steps = std::mem::take(&mut finished.steps);
    let mut others: Vec<(usize, Finished)> = planner.stages.into_iter().collect();
    others.sort_by_key(|(index, _)| *index);
    let mut all = super::global_steps(file, options);
    all.extend(others.into_iter().flat_map(|(_, stage)| stage.steps));
    all.append(&mut steps);
    let (warnings, violation) = planner.found.finish(&file.warnings, options.style);
    Ok(Plan {
        graph: planner.graph,
        steps: all,
        target: finished.root,
        config: finished.config,
        history: finished.history,
        warnings,
        violation,
        unused_arguments: globals.unused(),
    })
}

/// A stage that was planned.
#[derive(Debug, Clone, Default)]
pub(super) struct Finished {
    /// Its root; none when there is no file in it.
    pub(super) root: Option<VertexId>,
    pub(super) config: ImageConfig,
    pub(super) history: Vec<Past>,
    pub(super) scope: Scope,
    /// WORKDIR stands in this stage or one below.
    pub(super) has_workdir: bool,
    pub(super) steps: Vec<Step>,
}

pub(super) struct Planner<'p, B> {
    pub(super) file: &'p Dockerfile,
    pub(super) options: &'p Options,
    pub(super) globals: &'p Globals<'p>,
    pub(super) found: Found,
    bases: &'p mut B,
    pub(super) graph: Graph,
    stages: HashMap<usize, Finished>,
    images: HashMap<String, VertexId>,
    depth: usize,
}

/// A stage while it is planned.
pub(super) struct Work {
    pub(super) index: usize,
    pub(super) name: Option<String>,
    pub(super) finished: Finished,
    /// CMD stands in this stage.
    pub(super) has_command: bool,
    /// Where we are.
    pub(super) lines: Option<Lines>,
    /// As it is written.
    pub(super) text: String,
    /// It is a trigger of the image.
    pub(super) is_trigger: bool,
    /// For the checks.
    pub(super) seen: Seen,
}

impl Work {
    pub(super) fn environment(&self) -> &[String] {
        self.finished.config.config.env.as_deref().unwrap_or_default()
    }

    /// Notes an instruction that was worked in.
    pub(super) fn step(&mut self, vertex: Option<VertexId>) {
        let configuration = serde_json::to_string(&self.finished.config.config).unwrap_or_default();
        self.finished.steps.push(Step {
            stage: self.index,
            stage_name: self.name.clone(),
            text: self.text.clone(),
            lines: self.lines,
            vertex,
            is_trigger: self.is_trigger,
            configuration,
            ..Step::default()
        });
    }
}

type Planned<T, B> = Result<T, PlanError<<B as Bases>::Error>>;

impl<B: Bases> Planner<'_, B> {
    fn stage(&mut self, index: usize) -> Planned<(), B> {
        if self.stages.contains_key(&index) {
            return Ok(());
        }
        let file = self.file;
        let Some(stage) = file.stages.get(index) else { return Ok(()) };
        self.depth += 1;
        if self.depth > DEEPEST {
            let problem = Problem::TooMany { what: "stages that need each other", limit: DEEPEST };
            return Err(placed_problem(problem, stage.from.lines).into());
        }
        let finished = self.from(index, stage)?;
        let mut work = Work {
            index,
            name: stage.from.value.name.clone(),
            finished,
            has_command: false,
            lines: None,
            text: String::new(),
            is_trigger: true,
            seen: Seen::default(),
        };
        self.triggers(&mut work, stage)?;
        work.is_trigger = false;
        for placed in &stage.instructions {
            self.instruction(&mut work, placed)?;
        }
        self.depth -= 1;
        self.stages.insert(index, work.finished);
        Ok(())
    }

    /// What a stage begins with.
    fn from(&mut self, index: usize, stage: &Stage) -> Planned<Finished, B> {
        let lines = stage.from.lines;
        let from = &stage.from.value;
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let base = self.globals.expand(&from.base).map_err(at)?;
        if base.is_empty() {
            return Err(at(Problem::BlankBase { base: from.base.clone() }));
        }
        let platform = match &from.platform {
            None => self.options.platform.clone(),
            Some(text) => {
                let text = self.globals.expand(text).map_err(at)?;
                text.parse().map_err(|_| at(Problem::Platform { text: text.clone() }))?
            }
        };
        let earlier = self.earlier(&base, index).filter(|_| !self.options.contexts.contains_key(&base));
        let (mut finished, id) = match earlier {
            Some(earlier) => {
                self.stage(earlier)?;
                let before = self.stages.get(&earlier).cloned().unwrap_or_default();
                (Finished { steps: Vec::new(), ..before }, String::new())
            }
            None if base == "scratch" => (self.scratch(&platform), String::new()),
            None => self.image_stage(&base, &platform, lines)?,
        };
        let triggers = finished.config.config.on_build.as_ref().map_or(0, Vec::len);
        let is_changed = !stage.instructions.is_empty() || triggers > 0 || !self.options.labels.is_empty();
        // The classic builder leaves an image to which nothing is done as it is.
        if is_changed || self.options.style == Style::BuildKit {
            let env = finished.config.config.env.get_or_insert_default();
            if !env.iter().any(|entry| entry.starts_with("PATH=")) {
                env.push(PATH.to_owned());
            }
        }
        let configuration = serde_json::to_string(&finished.config.config).unwrap_or_default();
        finished.steps.push(Step {
            stage: index,
            stage_name: from.name.clone(),
            text: stage.from.text.clone(),
            lines: Some(lines),
            vertex: finished.root,
            base: Some(id),
            triggers,
            configuration,
            ..Step::default()
        });
        Ok(finished)
    }

    fn scratch(&self, platform: &oci::Platform) -> Finished {
        let config = ImageConfig { platform: platform.clone(), ..ImageConfig::default() };
        Finished { config, ..Finished::default() }
    }

    fn image_stage(
        &mut self,
        written: &str,
        platform: &oci::Platform,
        lines: Lines,
    ) -> Planned<(Finished, String), B> {
        let name = match self.options.contexts.get(written) {
            Some(NamedContext::Image(image)) => image.clone(),
            _ => written.to_owned(),
        };
        let (root, base) = self.image(&name, platform, lines)?;
        self.found.check_image(written, platform, &base.config.platform, lines);
        let mut config = base.config.clone();
        let history = std::mem::take(&mut config.history).into_iter().map(Past::Known).collect();
        config.rootfs = oci::image::RootFs::default();
        config.container_config = None;
        config.container = String::new();
        config.comment = String::new();
        let finished = Finished { root: Some(root), config, history, ..Finished::default() };
        Ok((finished, base.id))
    }

    /// An image as a vertex.
    fn image(&mut self, name: &str, platform: &oci::Platform, lines: Lines) -> Planned<(VertexId, Base), B> {
        let base = self.bases.base(name, platform).map_err(|error| PlanError::Base {
            name: name.to_owned(),
            lines,
            error,
        })?;
        let key = format!("{name} {}", platform.text());
        let graph = &mut self.graph;
        let vertex = *self.images.entry(key).or_insert_with_key(|key| {
            graph.add(Vertex {
                operation: Operation::Source(key.clone()),
                inputs: Vec::new(),
                name: format!("FROM {name}"),
                ignore_cache: false,
                layers: Some(std::sync::Arc::clone(&base.layers)),
            })
        });
        Ok((vertex, base))
    }

    /// The stage before one that a name or a number means.
    fn earlier(&self, name: &str, index: usize) -> Option<usize> {
        let stages = self.file.stages.get(..index).unwrap_or_default();
        stages.iter().rposition(|stage| {
            stage.from.value.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Where files named by `--from` come from; the inputs get what is needed for it.
    pub(super) fn origin(
        &mut self,
        from: &str,
        work: &Work,
        inputs: &mut Vec<VertexId>,
    ) -> Planned<Origin, B> {
        let lines = work.lines.unwrap_or(Lines::one(1));
        if let Some(NamedContext::Folder(name)) = self.options.contexts.get(from) {
            return Ok(Origin::Context(name.clone()));
        }
        let named = self.options.contexts.get(from);
        let earlier = self.earlier(from, work.index).or_else(|| {
            let number = from.parse::<usize>().ok()?;
            (number < work.index).then_some(number)
        });
        let root = match (named, earlier) {
            (Some(NamedContext::Image(image)), _) => {
                let image = image.clone();
                Some(self.image(&image, &self.options.platform.clone(), lines)?.0)
            }
            (_, Some(earlier)) => {
                self.stage(earlier)?;
                self.stages.get(&earlier).and_then(|stage| stage.root)
            }
            _ if from.parse::<usize>().is_ok()
                || from.eq_ignore_ascii_case(work.name.as_deref().unwrap_or_default()) =>
            {
                let problem = Problem::NoSource { from: from.to_owned(), index: work.index };
                return Err(placed_problem(problem, lines).into());
            }
            _ if from == "scratch" => None,
            _ => Some(self.image(from, &self.options.platform.clone(), lines)?.0),
        };
        // A stage without files is an empty root.
        let root = root.unwrap_or_else(|| self.empty());
        let place = inputs.iter().position(|input| *input == root);
        let place = place.filter(|place| *place > 0).unwrap_or_else(|| {
            inputs.push(root);
            inputs.len() - 1
        });
        Ok(Origin::Input(place))
    }

    /// A root without files.
    pub(super) fn empty(&mut self) -> VertexId {
        let graph = &mut self.graph;
        *self.images.entry("scratch".to_owned()).or_insert_with(|| {
            graph.add(Vertex {
                operation: Operation::Source("scratch".to_owned()),
                inputs: Vec::new(),
                name: "FROM scratch".to_owned(),
                ignore_cache: false,
                layers: Some(std::sync::Arc::from([])),
            })
        })
    }

    /// What the image a stage begins with has told everybody to do first.
    fn triggers(&mut self, work: &mut Work, stage: &Stage) -> Planned<(), B> {
        let Some(triggers) = work.finished.config.config.on_build.take() else { return Ok(()) };
        for text in triggers {
            let instruction = trigger_instruction(&text, self.file.directives.escape)
                .map_err(|problem| placed_problem(problem, stage.from.lines))?;
            self.instruction(work, &Placed { value: instruction, text, lines: stage.from.lines })?;
        }
        Ok(())
    }

    fn instruction(&mut self, work: &mut Work, placed: &Placed<Instruction>) -> Planned<(), B> {
        work.lines = Some(placed.lines);
        work.text.clone_from(&placed.text);
        match &placed.value {
            Instruction::Run(run) => self.run(work, run),
            Instruction::Copy(copy) => self.copy(work, copy),
            Instruction::Add(add) => self.add(work, add),
            Instruction::Workdir(path) => self.workdir(work, path),
            other => self.set(work, other).map_err(|problem| placed_problem(problem, placed.lines).into()),
        }
    }

    /// Adds an operation above a stage's root.
    pub(super) fn operate(
        &mut self,
        work: &mut Work,
        operation: Operation,
        inputs: Vec<VertexId>,
    ) -> VertexId {
        let vertex = self.graph.add(Vertex {
            operation,
            inputs,
            name: work.text.clone(),
            ignore_cache: self.options.no_cache,
            layers: None,
        });
        work.finished.root = Some(vertex);
        work.step(Some(vertex));
        vertex
    }

    /// Replaces variables in an instruction's text.
    pub(super) fn expand(&self, work: &Work, text: &str) -> Result<String, Problem> {
        let environment = work.environment();
        let scope = &work.finished.scope;
        let escape = self.file.directives.escape;
        let noted = super::scope::expand_noting(text, escape, &|name| scope.get(name, environment))?;
        self.note_unset(work, &noted.unset);
        Ok(noted.text)
    }
}
