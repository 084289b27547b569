//! Builds: Dockerfiles become images, by each door.

mod buildx;
mod classic;
mod hostile;
mod outputs;
mod remote;
mod stories;
mod support;
