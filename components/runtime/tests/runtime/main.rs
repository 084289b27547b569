//! The runtime with real containers: what works, what is around a process, what people are told when it does not.

#[path = "../support/mod.rs"]
mod support;

mod environment;
mod failure;
mod lifecycle;
