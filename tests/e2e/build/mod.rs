//! Builds: Dockerfiles become images, by each door.

mod buildx;
mod classic;
mod hostile;
mod outputs;
mod own;
mod remote;
mod stories;
mod support;
