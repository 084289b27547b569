//! `cargo xtask bench [NAME]`: wharf beside Docker and Podman in one run.

use crate::Outcome;

/// Placeholder until the benches are written.
pub(crate) fn run(_arguments: &[String]) -> Outcome {
    Err("the benches are not written yet".to_owned())
}
