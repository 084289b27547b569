//! The distribution specification as checks against any registry: each form of each endpoint, each error code.
//!
//! A check is a function that panics with what it found; [`run`] runs them all and tells which failed. Every run uses
//! repositories of its own, so that a registry in use can be checked. Nothing of wharf is used but the digest type.
//!
//! Reading order: `client`, then `checks/`.

#![forbid(unsafe_code)]

mod checks;
mod client;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checks::{CHECKS, Check};
pub use client::{Client, assert_error, header, manifest_of};

/// A check that failed, and how.
#[derive(Debug)]
pub struct Failure {
    /// Which one.
    pub name: &'static str,
    /// What it found.
    pub why: String,
}

/// Runs every check; returns how many were run and those that failed.
pub fn run(client: &Client) -> (usize, Vec<Failure>) {
    let mut failures = Vec::new();
    for check in CHECKS {
        let own = client.in_repository(&format!("conformance/{}-{}", check.name.replace('_', "-"), run_id()));
        let result = catch_unwind(AssertUnwindSafe(|| (check.run)(&own)));
        if let Err(panic) = result {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            failures.push(Failure { name: check.name, why: text.unwrap_or_default() });
        }
    }
    (CHECKS.len(), failures)
}

/// A number that differs from run to run.
fn run_id() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_micros()) % 1_000_000_000_000
}
