//! What a build is told, understood: the Dockerfile language.
//!
//! Purpose: turn the bytes of a Dockerfile into typed instructions with their places and expand variables by its rules.
//! Owns: the grammar (directives, continuation lines, heredocs, flags, JSON forms), the words of its errors, the limits
//! on what a hostile Dockerfile may ask of the parser.
//! Must not know: images, containers, file systems, registries: whoever builds does that with what it finds here.
//!
//! Sources of the rules: the Dockerfile reference and the parser of moby/buildkit (`frontend/dockerfile`); where they
//! differ, what the parser does counts, because Dockerfiles were written against it.
//!
//! Reading order: `dockerfile` (the whole), `dockerfile/source` (logical lines), `dockerfile/instruction` (what they say),
//! `dockerfile/words` (variables).

#![forbid(unsafe_code)]

pub mod dockerfile;

pub use dockerfile::{Dockerfile, DockerfileError};
