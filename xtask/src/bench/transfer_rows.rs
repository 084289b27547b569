//! Images to and from a registry: Debian's docker-registry on the engine's own loopback, its work not counted.

use super::image_rows::{Sample, megabytes};
use super::measure::{self, Cost, median};
use super::registry_rows::Contender as Registry;
use super::report::{Better, Report};
use super::{Contender, Pair};
use crate::Outcome;

/// Turns of each engine; each has a registry of its own.
const TURNS: usize = 3;

/// What one engine took, a value for each turn.
#[derive(Default)]
struct Costs {
    push: Vec<Cost>,
    again: Vec<Cost>,
    pull: Vec<Cost>,
    peak: Vec<f64>,
}

/// Pushes where nothing is there, pushes again, and pulls what docker pushed (gzip layers), turn by turn.
pub(super) fn push_and_pull(pair: &Pair, report: &mut Report, sample: &Sample, whole: bool) -> Outcome {
    let archive = sample.archive.to_string_lossy().into_owned();
    for contender in [&pair.docker, &pair.wharf] {
        contender.cli(&["load", "-i", &archive])?;
    }
    let seed = seed(&pair.docker, sample)?;
    let (mut docker, mut wharf) = (Costs::default(), Costs::default());
    for _ in 0..TURNS {
        turn(&pair.docker, sample, &seed, &mut docker)?;
        turn(&pair.wharf, sample, &seed, &mut wharf)?;
    }
    let size = megabytes(&sample.archive)?;
    let words = sample.words;
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall));
    let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu));
    let mut less = |what: &str, unit, peer: f64, own: f64, (reach, aim): (f64, f64)| {
        report.ratio(&format!("{what}, {words}"), unit, ("docker", peer), own, Better::Less, reach, aim);
    };
    less("pull gzip: wall", "ms", wall(&docker.pull), wall(&wharf.pull), sample.pull);
    less("pull gzip: CPU", "ms", cpu(&docker.pull), cpu(&wharf.pull), (5.0, 8.0));
    if whole {
        let peak = |costs: &Costs| median(costs.peak.iter().copied());
        less("push, all there: wall", "ms", wall(&docker.again), wall(&wharf.again), (8.0, 15.0));
        less("engine's peak RSS, push and pull", "MiB", peak(&docker), peak(&wharf), (6.0, 8.0));
        let rate = |costs: &Costs| size / wall(&costs.push) * 1e3;
        let name = format!("push, all new, {words}");
        report.ratio(&name, "MB/s", ("docker", rate(&docker)), rate(&wharf), Better::More, 4.0, 8.0);
    }
    Ok(())
}

/// A registry that holds the sample as docker pushes it.
fn seed(docker: &Contender, sample: &Sample) -> Result<Registry, String> {
    let registry = docker.beside(|| Registry::docker_with(None))?;
    let name = format!("{}/bench:1", registry.address);
    docker.cli(&["tag", sample.name, &name])?;
    docker.cli(&["push", &name])?;
    docker.cli(&["rmi", &name])?;
    Ok(registry)
}

fn turn(contender: &Contender, sample: &Sample, seed: &Registry, costs: &mut Costs) -> Outcome {
    let engine = contender.family();
    let registry = contender.beside(|| Registry::docker_with(None))?;
    registry.leave_accounts()?;
    let name = format!("{}/bench:1", registry.address);
    contender.cli(&["load", "-i", &sample.archive.to_string_lossy()])?;
    contender.cli(&["tag", sample.name, &name])?;
    measure::reset_peaks(&engine);
    costs.push.push(measure::once(|| contender.cli(&["push", &name]))?);
    costs.again.push(measure::once(|| contender.cli(&["push", &name]))?);
    contender.cli(&["rmi", &name, sample.name])?;
    drop(registry);
    let registry = contender.beside(|| Registry::docker_with(Some(seed)))?;
    registry.leave_accounts()?;
    let name = format!("{}/bench:1", registry.address);
    costs.pull.push(measure::once(|| contender.cli(&["pull", &name]))?);
    contender.cli(&["rmi", &name])?;
    costs.peak.push(measure::peak_memory(&engine) / 1024.0);
    Ok(())
}
