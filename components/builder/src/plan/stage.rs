//! Stages: each is planned when somebody needs it, so that those nobody needs cost nothing.

use std::collections::HashMap;

use oci::image::ImageConfig;

use super::check::{Found, Seen};
use super::history::Past;
use super::scope::{Globals, Scope, placed_problem};
use super::{Bases, Options, Plan, PlanError, Step, target};
use crate::dockerfile::{Dockerfile, Instruction, Lines, Placed, Problem, Stage, trigger_instruction};
use crate::graph::{Graph, Vertex};
use crate::operation::{Operation, VertexId};

/// Deepest nesting of stages that need each other.
const DEEPEST: usize = 500;

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
        is_alone: file.stages.len() == 1,
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
        is_alone: planner.is_alone,
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
    pub(super) bases: &'p mut B,
    pub(super) graph: Graph,
    pub(super) stages: HashMap<usize, Finished>,
    pub(super) images: HashMap<String, VertexId>,
    pub(super) depth: usize,
    /// No other stage or image is named.
    pub(super) is_alone: bool,
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
    /// The same with its variables replaced.
    pub(super) shown: String,
    /// It is a trigger of the image.
    pub(super) is_trigger: bool,
    /// For the checks.
    pub(super) seen: Seen,
}

impl Work {
    /// A stage before its FROM.
    fn new(index: usize, stage: &Stage) -> Self {
        Self {
            index,
            name: stage.from.value.name.clone(),
            finished: Finished::default(),
            has_command: false,
            lines: Some(stage.from.lines),
            text: stage.from.text.clone(),
            shown: String::new(),
            is_trigger: false,
            seen: Seen::default(),
        }
    }

    /// Goes on to an instruction.
    fn begin(&mut self, lines: Lines, text: &str) {
        self.lines = Some(lines);
        text.clone_into(&mut self.text);
    }

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
            shown: self.shown.clone(),
            is_counted: super::shown::is_counted(&self.text) && !self.is_trigger,
            lines: self.lines,
            vertex,
            is_trigger: self.is_trigger,
            configuration,
            ..Step::default()
        });
    }
}

pub(super) type Planned<T, B> = Result<T, PlanError<<B as Bases>::Error>>;

impl<B: Bases> Planner<'_, B> {
    /// Plans a stage, unless that was done already.
    pub(super) fn stage(&mut self, index: usize) -> Planned<(), B> {
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
        let mut work = Work::new(index, stage);
        let mut rest = stage.instructions.iter();
        if let Err(error) = self.instructions(&mut work, stage, &mut rest) {
            self.refuse(&mut work, error, rest.as_slice())?;
        }
        self.depth -= 1;
        self.stages.insert(index, work.finished);
        Ok(())
    }

    /// All of a stage; what was begun is taken from the rest.
    fn instructions(
        &mut self,
        work: &mut Work,
        stage: &Stage,
        rest: &mut std::slice::Iter<'_, Placed<Instruction>>,
    ) -> Planned<(), B> {
        work.finished = self.from(work.index, stage)?;
        self.triggers(work, stage)?;
        for placed in rest {
            self.instruction(work, placed)?;
        }
        Ok(())
    }

    /// Makes an instruction that cannot be a step that fails, if that is wanted.
    fn refuse(
        &mut self,
        work: &mut Work,
        error: PlanError<B::Error>,
        rest: &[Placed<Instruction>],
    ) -> Planned<(), B> {
        let PlanError::File(error) = error else { return Err(error) };
        if !self.options.late_refusals {
            return Err(error.into());
        }
        let inputs = work.finished.root.into_iter().collect();
        let is_from = work.finished.steps.is_empty();
        self.operate(work, Operation::Refuse(error.problem.to_string()), inputs);
        if let Some(step) = work.finished.steps.last_mut().filter(|_| is_from) {
            step.base = Some(String::new());
        }
        for placed in rest {
            work.begin(placed.lines, &placed.text);
            work.step(None);
        }
        Ok(())
    }

    /// What the image a stage begins with has told everybody to do first.
    fn triggers(&mut self, work: &mut Work, stage: &Stage) -> Planned<(), B> {
        let Some(triggers) = work.finished.config.config.on_build.take() else { return Ok(()) };
        work.is_trigger = true;
        for text in triggers {
            let instruction = trigger_instruction(&text, self.file.directives.escape)
                .map_err(|problem| placed_problem(problem, stage.from.lines))?;
            self.instruction(work, &Placed { value: instruction, text, lines: stage.from.lines })?;
        }
        work.is_trigger = false;
        Ok(())
    }

    fn instruction(&mut self, work: &mut Work, placed: &Placed<Instruction>) -> Planned<(), B> {
        work.begin(placed.lines, &placed.text);
        work.shown = self.shown(work, placed);
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
            ignore_cache: self.options.ignores_cache(work.name.as_deref()),
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
