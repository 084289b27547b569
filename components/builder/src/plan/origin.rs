//! What a stage begins with, and where its files come from: images, earlier stages, named contexts, nothing.

use oci::image::ImageConfig;

use super::history::Past;
use super::scope::placed_problem;
use super::stage::{Finished, Planned, Planner, Work};
use super::{Base, Bases, NamedContext, PlanError, Step, Style};
use crate::dockerfile::{DockerfileError, Lines, Problem, Stage};
use crate::graph::Vertex;
use crate::operation::{Operation, Origin, VertexId};

/// What Docker gives images that are made from nothing.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl<B: Bases> Planner<'_, B> {
    /// What a stage begins with.
    pub(super) fn from(&mut self, index: usize, stage: &Stage) -> Planned<Finished, B> {
        let lines = stage.from.lines;
        let from = &stage.from.value;
        let at = |problem| PlanError::File(placed_problem(problem, lines));
        let base = self.globals.expand(&from.base).map_err(at)?;
        if base.is_empty() {
            return Err(at(Problem::BlankBase { base: from.base.clone() }));
        }
        let platform = match &from.platform {
            // An empty one is as good as none, unless a variable made it empty.
            Some(text) if !text.is_empty() => {
                let text = self.globals.expand(text).map_err(at)?;
                text.parse().map_err(|error| at(no_platform(&text, &error)))?
            }
            _ => self.options.platform.clone(),
        };
        let earlier = self.earlier(&base, index).filter(|_| self.options.context(&base).is_none());
        let context = self.options.context(&base).is_some().then(|| base.clone());
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
            shown: format!("FROM {base}"),
            is_counted: !id.is_empty() || context.is_some(),
            context,
            lines: Some(lines),
            vertex: finished.root,
            base: Some(id),
            triggers,
            configuration,
            ..Step::default()
        });
        Ok(finished)
    }

    pub(super) fn scratch(&self, platform: &oci::Platform) -> Finished {
        let mut config = ImageConfig { platform: platform.clone(), ..ImageConfig::default() };
        if self.options.style == Style::BuildKit {
            config.config.working_dir = "/".to_owned();
        }
        Finished { config, ..Finished::default() }
    }

    fn image_stage(
        &mut self,
        written: &str,
        platform: &oci::Platform,
        lines: Lines,
    ) -> Planned<(Finished, String), B> {
        let name = match self.options.context(written) {
            Some(NamedContext::Image(image)) => image.clone(),
            Some(NamedContext::Folder(folder)) => {
                return Ok((self.folder_stage(folder, platform), String::new()));
            }
            _ => written.to_owned(),
        };
        if let (Style::BuildKit, Err(error)) = (self.options.style, name.parse::<oci::Reference>()) {
            let problem = Problem::BaseName { name, why: error.to_string() };
            return Err(placed_problem(problem, lines).into());
        }
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
        // Several names may be one image's.
        let whole = name.parse::<oci::Reference>().map(|reference| reference.or_latest().canonical());
        let whole = whole.unwrap_or_else(|_| name.to_owned());
        let graph = &mut self.graph;
        let key = format!("{whole} {}", platform.text());
        let vertex = *self.images.entry(key).or_insert_with(|| {
            graph.add(Vertex {
                operation: Operation::Source(format!("{name} {}", platform.text())),
                inputs: Vec::new(),
                name: format!("FROM {whole}"),
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
        let named = self.options.context(from);
        let is_alone = std::mem::replace(&mut self.is_alone, false);
        if let Some(NamedContext::Folder(name)) = named {
            return Ok(Origin::Context(name.clone()));
        }
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
                self.is_alone = is_alone;
                self.stage(earlier)?;
                self.stages.get(&earlier).and_then(|stage| stage.root)
            }
            _ if from.parse::<usize>().is_ok()
                || from.eq_ignore_ascii_case(work.name.as_deref().unwrap_or_default()) =>
            {
                return Err(self.no_source(from, work, lines).into());
            }
            _ if from == "scratch" => None,
            _ if self.options.style == Style::BuildKit && from.parse::<oci::Reference>().is_err() => {
                let why = from.parse::<oci::Reference>().err().map(|error| error.to_string());
                let problem = Problem::BaseName { name: from.to_owned(), why: why.unwrap_or_default() };
                return Err(placed_problem(problem, lines).into());
            }
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

    /// Why a name or a number means no stage before this one.
    fn no_source(&self, from: &str, work: &Work, lines: Lines) -> DockerfileError {
        let is_classic = self.options.style == Style::Classic;
        match from.parse::<usize>() {
            _ if is_classic => {
                placed_problem(Problem::NoSource { from: from.to_owned(), index: work.index }, lines)
            }
            Ok(index) if index != work.index => Problem::StageIndex { index }.into(),
            _ => {
                let name = work.name.clone().unwrap_or_else(|| format!("stage-{}", work.index));
                placed_problem(Problem::Circular { name }, lines)
            }
        }
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
}

/// What is wrong with a platform, in the words of Docker's builders.
fn no_platform(text: &str, error: &oci::platform::PlatformError) -> Problem {
    let why = match error {
        oci::platform::PlatformError::Component { part, .. } if text.starts_with(part.as_str()) => format!(
            "{part:?} is an invalid OS component of {text:?}: OSAndVersion specifier component must match \
             \"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$\": invalid argument"
        ),
        oci::platform::PlatformError::Unknown { .. } if !text.contains('/') => {
            format!("{text:?}: unknown operating system or architecture: invalid argument")
        }
        error => error.to_string(),
    };
    Problem::Platform { text: text.to_owned(), why }
}
