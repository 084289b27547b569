//! A Dockerfile as stages of typed instructions.

mod arguments;
mod check;
mod error;
mod flags;
mod glob;
mod heredoc;
mod instruction;
mod mount;
mod parse;
mod source;
mod style;
mod words;

pub use check::{Checks, Finding, Warning};
pub(crate) use error::near;
pub use error::{DockerfileError, Problem};
pub use heredoc::Heredoc;
pub use instruction::{
    Add, Argument, Command, Copy, Expose, From, Health, Instruction, KeyValue, Run, Sources, Trigger,
};
pub use mount::{Access, CacheMount, Mount, MountKind, Sharing};
pub use source::Directives;
pub use words::{Expanded, Expansion, Values};

/// Most instructions of a file.
const MOST: usize = 20_000;

/// Lines of the file, from 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lines {
    /// The first.
    pub first: usize,
    /// The last.
    pub last: usize,
}

impl Lines {
    /// A single one.
    pub fn one(line: usize) -> Self {
        Self { first: line, last: line }
    }
}

/// Something at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// What it is.
    pub value: T,
    /// The instruction as it is written, in one line, for histories and progress.
    pub text: String,
    /// Where.
    pub lines: Lines,
}

impl<T> Placed<T> {
    /// The instruction's first word, as it is written.
    pub fn keyword(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }
}

/// A stage: what it is built from, and what is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its FROM.
    pub from: Placed<From>,
    /// What follows.
    pub instructions: Vec<Placed<Instruction>>,
}

/// A Dockerfile that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What its first comments say.
    pub directives: Directives,
    /// ARG before the first FROM.
    pub global_arguments: Vec<Placed<Vec<Argument>>>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What checks of the text alone found, in the order of the lines.
    pub warnings: Vec<Warning>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// With the line, in the words of Docker's builders.
    pub fn read(bytes: &[u8]) -> Result<Self, DockerfileError> {
        parse::file(bytes)
    }

    /// The stage that is meant by a name (told apart without case) or a number.
    pub fn stage(&self, target: &str) -> Option<usize> {
        let named = |stage: &Stage| {
            stage.from.value.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(target))
        };
        // The last of several of one name is meant, as later ones hide earlier ones.
        let by_name = self.stages.iter().rposition(named);
        by_name.or_else(|| target.parse().ok().filter(|number| *number < self.stages.len()))
    }
}

/// Reads a trigger of an image: an instruction in one text, its heredocs behind it.
///
/// # Errors
/// For what is no instruction, or none that a trigger may be.
pub fn trigger_instruction(text: &str, escape: char) -> Result<Instruction, Problem> {
    parse::trigger_instruction(text, escape)
}

#[cfg(test)]
mod tests;
