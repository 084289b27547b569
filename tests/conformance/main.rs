//! The checks, a file for each section of the specification.

mod cgroup;
mod command;
mod device;
mod exec;
mod hook;
mod lifecycle;
mod mount;
mod namespace;
mod path;
mod podman;
mod process;
mod seccomp;
