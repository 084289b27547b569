//! What a build is told, understood: the Dockerfile language and the patterns of `.dockerignore`.
//!
//! Purpose: turn the bytes of a Dockerfile into typed instructions with their places, expand variables by its rules, and
//! say which files of a context a build may see.
//! Owns: the grammar (directives, continuation lines, heredocs, flags, JSON forms), the words of its errors, the limits
//! on what a hostile Dockerfile may ask of the parser.
//! Must not know: images, containers, file systems, registries: whoever builds does that with what it finds here.
//!
//! Sources of the rules: the Dockerfile reference and the parser of moby/buildkit (`frontend/dockerfile`); where they
//! differ, what the parser does counts, because Dockerfiles were written against it.
//!
//! Reading order: `dockerfile` (the whole), `dockerfile/source` (logical lines), `dockerfile/instruction` (what they say),
//! `dockerfile/words` (variables), `ignore`.

#![forbid(unsafe_code)]

pub mod dockerfile;
mod ignore;

pub use dockerfile::{Dockerfile, DockerfileError};
pub use ignore::{Ignore, IgnoreError};
