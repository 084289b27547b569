//! Builds: Dockerfiles become images, by each door.

mod buildx;
mod classic;
mod hostile;
mod remote;
mod stories;
mod support;
