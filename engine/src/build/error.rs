//! Why a build failed.

use builder::VertexId;
use builder::dockerfile::Lines;
use model::ErrorKind;

use crate::Error;

/// Why a build failed.
#[derive(Debug)]
pub enum BuildError {
    /// A command ended with something else than 0.
    Exit {
        /// Where.
        vertex: VertexId,
        /// Its words.
        command: Vec<String>,
        /// What it ended with.
        code: i32,
    },
    /// Somebody wanted it no more.
    Cancelled,
    /// The Dockerfile is wrong.
    File(builder::DockerfileError),
    /// An operation failed.
    Step {
        /// Where in the graph.
        vertex: VertexId,
        /// Why.
        error: Error,
    },
    /// An operation cannot be done, whatever its files are.
    Refused {
        /// Where in the graph.
        vertex: VertexId,
        /// Why.
        error: Error,
    },
    /// An image is not to be had.
    Base {
        /// The instruction that asks for it.
        step: Box<FailedStep>,
        /// Why.
        error: Error,
    },
    /// Anything else.
    Engine(Error),
}

impl From<Error> for BuildError {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// An instruction by its number.
#[derive(Debug, Clone)]
pub struct FailedStep {
    /// Counted from 1.
    pub number: usize,
    /// How many there are.
    pub total: usize,
    /// As it is written.
    pub text: String,
    /// Where it stands.
    pub lines: Lines,
    /// The image it asks for.
    pub image: String,
}

impl BuildError {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error)
            | Self::Step { error, .. }
            | Self::Refused { error, .. }
            | Self::Base { error, .. } => model::Kinded::kind(error),
            Self::File(_) => ErrorKind::Invalid,
            Self::Exit { .. } | Self::Cancelled => ErrorKind::Internal,
        }
    }
}
