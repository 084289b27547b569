//! Builds: Dockerfiles become images, by each door.

mod classic;
mod remote;
mod support;
