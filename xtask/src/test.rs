//! `cargo xtask test`: everything that has to be green, from a clean checkout, on a fresh machine.

use std::time::Instant;

use crate::build::cargo;
use crate::{Outcome, dependencies, packages, plugins, real, reference, tidy, vm};

/// A part of the run by its name.
type Part = (&'static str, fn() -> Outcome);

/// Runs each part in turn; the first that fails ends the run.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let only = arguments.first().map(String::as_str);
    let parts: [Part; 8] = [
        ("packages", || packages::ensure(packages::TESTS).and_then(|()| plugins::ensure())),
        ("format", || cargo(&["fmt", "--all", "--check"])),
        ("tidy", tidy::run),
        ("deny", dependencies::deny),
        ("build", || cargo(&["build", "--workspace", "--tests", "--bins"])),
        ("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])),
        ("tests", || cargo(&["test", "--workspace", "--no-fail-fast"])),
        ("emulated", || vm::run(&[])),
    ];
    for (name, part) in parts {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let start = Instant::now();
        println!("=== {name}");
        part()?;
        println!("=== {name}: {:.0} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// What is tried some hundred times by every run, ten thousand times; and stories with real software, whose images are then
/// compared with Docker's, where there is one.
pub(crate) fn long_forms() -> Outcome {
    cargo(&["build", "--workspace", "--bins"])?;
    let tests = ["test", "--package", "e2e", "--test", "e2e", "--", "--ignored", "--nocapture"];
    cargo(&[&tests[..], &["--test-threads=1", "long_form"]].concat())?;
    if reference::is_there() {
        return real::run(&[]);
    }
    println!("skipped: images of real software beside Docker's: there is no reference engine");
    Ok(())
}
