//! Builds: the Dockerfile language, the graph of operations it stands for, and the solver that works it off.
//!
//! Purpose: turn the bytes of a Dockerfile into operations and an image's configuration, and do what is not known yet,
//! side by side where it can.
//! Owns: the grammar and the words of its errors, what instructions mean, cache keys, the order of work, the limits on
//! what a hostile Dockerfile may ask for.
//! Must not know: containers, file systems, registries: a [`Worker`] does the work, [`plan::Bases`] finds images.
//!
//! Sources of the rules: the Dockerfile reference and the parser of moby/buildkit (`frontend/dockerfile`); where they
//! differ, what the parser does counts, because Dockerfiles were written against it.
//!
//! Reading order: `dockerfile` (the whole), `dockerfile/source` (logical lines), `dockerfile/instruction` (what they say),
//! `dockerfile/words` (variables), `operation`, `graph`, `plan` (from one to the other), `key`, `solve`.

#![forbid(unsafe_code)]

pub mod dockerfile;
pub mod graph;
pub mod key;
pub mod operation;
pub mod plan;
pub mod solve;

pub use dockerfile::{Dockerfile, DockerfileError};
pub use graph::{Graph, Layer, State, Vertex};
pub use key::Key;
pub use operation::{Operation, VertexId};
pub use plan::Plan;
pub use solve::{Worker, solve};
