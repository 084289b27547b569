//! From a Dockerfile to a graph: which operations its target needs, and what the image says that they make.
//!
//! Everything that needs no file is decided here: variables, the configuration step by step, the words of the history.
//! What images are is asked of [`Bases`], which may have to fetch them.

mod check;
mod copying;
mod history;
mod image;
mod origin;
mod running;
mod scope;
mod setting;
mod shown;
mod stage;

use std::collections::BTreeMap;

use oci::Platform;
use oci::image::ImageConfig;

use crate::dockerfile::{Dockerfile, DockerfileError, Lines, Problem, Warning};
use crate::graph::{Graph, State};
use crate::operation::VertexId;

pub use history::Past;
pub use image::Built;
pub use scope::PROXIES;

/// What a build is told besides the Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Build arguments. One without a value is not set.
    pub arguments: BTreeMap<String, Option<String>>,
    /// The stage that is built; the last one when absent.
    pub target: Option<String>,
    /// Labels the image gets.
    pub labels: BTreeMap<String, String>,
    /// The machine the image is for.
    pub platform: Platform,
    /// The machine it is built on.
    pub host: Platform,
    /// Nothing is taken from the cache.
    pub no_cache: bool,
    /// Nothing is taken from the cache in these stages.
    pub no_cache_stages: Vec<String>,
    /// The network of all commands that name none.
    pub network: Option<String>,
    /// Folders and images by name, which hide stages' and images' names.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Whose words the history has.
    pub style: Style,
    /// What the main context's ignore file says, pattern by pattern; only for the checks.
    pub ignore: Vec<String>,
    /// An instruction that cannot be is a step that fails when those before it are done, as in the first builder;
    /// else there is no plan.
    pub late_refusals: bool,
    /// Nothing is built: without a target, all stages are looked at.
    pub only_checks: bool,
}

impl Options {
    /// What a name stands for; `x`, `x:latest` and `docker.io/library/x` are one name.
    pub fn context(&self, name: &str) -> Option<&NamedContext> {
        if self.contexts.is_empty() {
            return None;
        }
        self.contexts.get(name).or_else(|| {
            let familiar = name.parse::<oci::Reference>().ok()?.familiar();
            self.contexts.get(familiar.strip_suffix(":latest").unwrap_or(&familiar))
        })
    }

    /// Whether a stage takes nothing from the cache.
    fn ignores_cache(&self, stage: Option<&str>) -> bool {
        let named = |name: &str| self.no_cache_stages.iter().any(|stage| stage.eq_ignore_ascii_case(name));
        self.no_cache || stage.is_some_and(named)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// An image.
    Image(String),
    /// A folder the client has, under this name.
    Folder(String),
}

/// Which of Docker's builders the result is to look like: they differ in words, and in whether a command that changed
/// nothing makes a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// The first one.
    #[default]
    Classic,
    /// The one with stages side by side.
    BuildKit,
}

/// An image something is built from.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// Its layers.
    pub layers: State,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its id.
    pub id: String,
}

/// Finds images.
pub trait Bases {
    /// Why one is not to be had.
    type Error;

    /// The image of a name on a platform.
    ///
    /// # Errors
    /// When there is none, or it cannot be fetched.
    fn base(&mut self, name: &str, platform: &Platform) -> Result<Base, Self::Error>;
}

/// Why there is no plan.
#[derive(Debug)]
pub enum PlanError<E> {
    /// The Dockerfile says something that cannot be done.
    File(DockerfileError),
    /// An image is not to be had.
    Base {
        /// Its name.
        name: String,
        /// Where it is asked for.
        lines: Lines,
        /// Why.
        error: E,
    },
}

impl<E> From<DockerfileError> for PlanError<E> {
    fn from(error: DockerfileError) -> Self {
        Self::File(error)
    }
}

/// An instruction of the stages that are built.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Its stage.
    pub stage: usize,
    /// The stage's name, if it has one.
    pub stage_name: Option<String>,
    /// As it is written.
    pub text: String,
    /// The same with its variables replaced, as BuildKit shows it; empty for the first builder.
    pub shown: String,
    /// It is one that BuildKit counts.
    pub is_counted: bool,
    /// FROM: the named context it means.
    pub context: Option<String>,
    /// Where; none for what comes from an image's triggers or the build's options.
    pub lines: Option<Lines>,
    /// What it does; none when it only changes the configuration.
    pub vertex: Option<VertexId>,
    /// FROM: the id of the image.
    pub base: Option<String>,
    /// Triggers of the image that come next.
    pub triggers: usize,
    /// It is such a trigger.
    pub is_trigger: bool,
    /// An argument before the first FROM: it comes to nothing by itself.
    pub is_global: bool,
    /// What the first builder says of it.
    pub note: Option<String>,
    /// What tells its result from all others besides files: the text of the configuration after it.
    pub configuration: String,
}

/// What has to be done, and what comes out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The operations.
    pub graph: Graph,
    /// The instructions, in the order of the file.
    pub steps: Vec<Step>,
    /// The vertex with the image's root; none for one without files.
    pub target: Option<VertexId>,
    /// The configuration, without layers and history.
    pub config: ImageConfig,
    /// How it is made.
    pub history: Vec<Past>,
    /// What the checks found and tell, in the order of the lines.
    pub warnings: Vec<Warning>,
    /// Why nothing may be built: the Dockerfile takes what the checks find for an error.
    pub violation: Option<DockerfileError>,
    /// There is one stage and nothing else that files come from: then its name need not be said.
    pub is_alone: bool,
    /// Build arguments no stage asked for.
    pub unused_arguments: Vec<String>,
}

impl Plan {
    /// Plans a build.
    ///
    /// # Errors
    /// For what the Dockerfile cannot mean, and images that are not to be had.
    pub fn new<B: Bases>(
        file: &Dockerfile,
        options: &Options,
        bases: &mut B,
    ) -> Result<Self, PlanError<B::Error>> {
        stage::plan(file, options, bases)
    }

    /// How many of the image's layers are those of the image its last stage was made from.
    pub fn base_layers(&self) -> usize {
        let mut vertex = self.target.and_then(|id| self.graph.get(id));
        while let Some(below) = vertex.and_then(|vertex| vertex.inputs.first()) {
            vertex = self.graph.get(*below);
        }
        vertex.and_then(|source| source.layers.as_ref()).map_or(0, |layers| layers.len())
    }
}

/// The stage a build is for.
fn target(file: &Dockerfile, options: &Options) -> Result<usize, DockerfileError> {
    match &options.target {
        None => Ok(file.stages.len().saturating_sub(1)),
        Some(name) => file.stage(name).ok_or_else(|| {
            Problem::NoTarget { name: name.clone(), classic: options.style == Style::Classic }.into()
        }),
    }
}

/// Arguments before the first FROM, which the classic builder counts.
fn global_steps(file: &Dockerfile, options: &Options) -> Vec<Step> {
    if options.style != Style::Classic {
        return Vec::new();
    }
    let step = |placed: &crate::dockerfile::Placed<Vec<crate::dockerfile::Argument>>| Step {
        text: placed.text.clone(),
        lines: Some(placed.lines),
        is_global: true,
        ..Step::default()
    };
    file.global_arguments.iter().map(step).collect()
}

#[cfg(test)]
mod tests;
