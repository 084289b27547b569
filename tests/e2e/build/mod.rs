//! Builds: Dockerfiles become images, by each door.

mod attestations;
mod buildx;
mod cache_limit;
mod classic;
mod control;
mod folders;
mod hostile;
mod keys;
mod mission;
mod mounts;
mod outputs;
mod own;
mod remote;
mod remote_cache;
mod stories;
mod support;
mod together;
