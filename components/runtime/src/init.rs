//! The small process 1 that starts the container's command, passes signals on and reaps orphans.
//!
//! Its words and exit codes are those of tini, which Docker's `--init` runs.

/// Runs as process 1: `arguments` are those of the program, its own name and an optional `--` first. Returns the
/// exit code for the process to end with.
pub fn run(arguments: &[String]) -> i32 {
    let _ = arguments;
    1
}
