//! `cargo xtask bench [NAME...]`: wharf beside Docker, crun and Podman in one run, turn by turn, as ratios.
//!
//! CPU is that of a cgroup which daemons, shims, clients and containers are in, and that of all threads of the kernel, so
//! teardown in the background counts and strangers' processes do not. Wall times are medians; keep the machine quiet.
//! Nothing here is a test: no figure fails a build.

mod build_rows;
mod contender;
mod engine_rows;
mod image_rows;
mod measure;
mod registry_rows;
mod report;
mod run_rows;
mod runtime_rows;
mod transfer_rows;

use crate::Outcome;
use contender::Contender;
use report::Report;

/// A group of rows that is measured together.
type Group = (&'static str, fn(&mut Pair, &mut Report) -> Outcome);

const GROUPS: [Group; 10] = [
    ("run", run_rows::run_and_exec),
    ("parts", run_rows::parts),
    ("runtime", runtime_rows::create_start_delete),
    ("parallel", run_rows::parallel_starts),
    ("memory", engine_rows::memory),
    ("many", engine_rows::many_containers),
    ("logs", engine_rows::logs),
    ("size", engine_rows::size),
    ("images", image_rows::images),
    ("build", build_rows::builds),
];

/// The group that needs no engine.
const REGISTRY: &str = "registry";

/// The two engines, each on roots of its own.
pub(crate) struct Pair {
    /// The reference dockerd with the docker command line.
    pub docker: Contender,
    /// wharfd with wharf's command line, release build.
    pub wharf: Contender,
}

/// Measures the groups named, or all.
pub(crate) fn run(names: &[String]) -> Outcome {
    let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).chain([REGISTRY]).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no bench is called {unknown:?}; there are: {}", known.join(" ")));
    }
    let binaries = crate::build::binaries("release")?;
    let mut report = Report::default();
    if names.is_empty() || names.iter().any(|name| name == REGISTRY) {
        println!("measuring {REGISTRY} ...");
        registry_rows::run(&binaries, &mut report)?;
    }
    if names.len() == 1 && names.iter().any(|name| name == REGISTRY) {
        report.print();
        return Ok(());
    }
    let _enclosure = measure::Enclosure::enter()?;
    let mut pair = Pair { docker: Contender::docker()?, wharf: Contender::wharf(&binaries)? };
    for (name, measure) in GROUPS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("measuring {name} ...");
            measure(&mut pair, &mut report)?;
        }
    }
    report.print();
    Ok(())
}
