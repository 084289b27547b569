//! Images: load, save, remove, and the memory the engine needs for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{self, Cost, cycles};
use super::report::{Better, Report};
use super::{Contender, Pair, transfer_rows};
use crate::Outcome;

/// Turns of each engine.
const TURNS: usize = 5;
/// Layers of the second image, and its files.
const LAYERS: usize = 20;
const FILES: usize = 5_000;

/// An image that both engines get as the same archive.
pub(super) struct Sample {
    pub(super) archive: PathBuf,
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    /// Ratios for wall and CPU of `load`: reach and aim.
    wall: (f64, f64),
    cpu: (f64, f64),
    /// The same for `pull`.
    pub(super) pull: (f64, f64),
}

/// One layer of a Debian system, and twenty layers.
pub(crate) fn images(pair: &mut Pair, report: &mut Report) -> Outcome {
    let single = Sample {
        archive: single_layer(&pair.docker)?,
        name: "bench-debian:1",
        words: "Debian, 1 layer",
        wall: (4.0, 8.0),
        cpu: (6.0, 12.0),
        pull: (3.0, 6.0),
    };
    let twenty = Sample {
        archive: twenty_layers(&pair.docker)?,
        name: "bench-twenty:1",
        words: "20 layers",
        wall: (3.0, 6.0),
        cpu: (5.0, 10.0),
        pull: (3.0, 5.0),
    };
    load_save_remove(pair, report, &single, true)?;
    load_save_remove(pair, report, &twenty, false)?;
    transfer_rows::push_and_pull(pair, report, &single, true)?;
    transfer_rows::push_and_pull(pair, report, &twenty, false)?;
    peak_memory(pair, report, &single)
}

fn load_save_remove(pair: &mut Pair, report: &mut Report, sample: &Sample, whole: bool) -> Outcome {
    let size = megabytes(&sample.archive)?;
    let saved = [&pair.docker, &pair.wharf].map(|contender| contender.work().join("saved.tar"));
    let archive = sample.archive.to_string_lossy().into_owned();
    let steps = |contender: &Contender, saved: &Path, step: usize| match step {
        0 => contender.cli(&["load", "-i", &archive]),
        1 => contender.cli(&["save", "-o", &saved.to_string_lossy(), sample.name]),
        _ => contender.cli(&["rmi", sample.name]),
    };
    let [docker_saved, wharf_saved] = &saved;
    let (docker, wharf) = cycles(
        TURNS,
        3,
        |step| steps(&pair.docker, docker_saved, step),
        |step| steps(&pair.wharf, wharf_saved, step),
    )?;
    for path in &saved {
        let _ = std::fs::remove_file(path);
    }
    let [docker_load, docker_save, docker_rmi] = three(&docker)?;
    let [wharf_load, wharf_save, wharf_rmi] = three(&wharf)?;
    let words = sample.words;
    let mut less = |what: &str, peer: f64, own: f64, (reach, aim): (f64, f64)| {
        let name = format!("{what}, {words} ({size:.0} MB)");
        report.ratio(&name, "ms", ("docker", peer), own, Better::Less, reach, aim);
    };
    less("load: wall", docker_load.wall, wharf_load.wall, sample.wall);
    less("load: CPU", docker_load.cpu, wharf_load.cpu, sample.cpu);
    if whole {
        less("rmi: wall", docker_rmi.wall, wharf_rmi.wall, (10.0, 50.0));
        less("rmi: CPU", docker_rmi.cpu, wharf_rmi.cpu, (10.0, 50.0));
        let rate = |cost: Cost| size / cost.wall * 1e3;
        let (peer, own) = (rate(docker_save), rate(wharf_save));
        report.ratio(&format!("save, {words}"), "MB/s", ("docker", peer), own, Better::More, 5.0, 8.0);
    }
    Ok(())
}

fn three(costs: &[Cost]) -> Result<[Cost; 3], String> {
    costs.try_into().map_err(|_| "three steps were measured".to_owned())
}

/// The highest resident memory of the engine's processes during load and save.
fn peak_memory(pair: &mut Pair, report: &mut Report, sample: &Sample) -> Outcome {
    let mut peaks = Vec::new();
    for contender in [&mut pair.docker, &mut pair.wharf] {
        contender.stop();
        contender.start()?;
        let pids = contender.family();
        measure::reset_peaks(&pids);
        contender.cli(&["load", "-i", &sample.archive.to_string_lossy()])?;
        let saved = contender.work().join("saved.tar");
        contender.cli(&["save", "-o", &saved.to_string_lossy(), sample.name])?;
        peaks.push(measure::peak_memory(&pids) / 1024.0);
        contender.cli(&["rmi", sample.name])?;
        let _ = std::fs::remove_file(saved);
    }
    if let [docker, wharf] = peaks[..] {
        let name = "engine's peak RSS, load and save";
        report.ratio(name, "MiB", ("docker", docker), wharf, Better::Less, 6.0, 8.0);
    }
    Ok(())
}

/// The archive `docker save` makes of the Debian system as one layer.
fn single_layer(docker: &Contender) -> Result<PathBuf, String> {
    cached("bench-debian.tar", |target| {
        let tar = testkit::image::debian_tar();
        docker.cli(&["import", &tar.to_string_lossy(), "bench-debian:1"])?;
        docker.cli(&["save", "-o", &target.to_string_lossy(), "bench-debian:1"])?;
        docker.cli(&["rmi", "bench-debian:1"])
    })
}

/// The archive `docker save` makes of the same files, as far as they go, in twenty layers.
fn twenty_layers(docker: &Contender) -> Result<PathBuf, String> {
    cached("bench-twenty.tar", |target| {
        let work = target.with_extension("work");
        let tree = work.join("tree");
        let context = work.join("context");
        for directory in [&tree, &context] {
            std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        }
        let debian = testkit::image::debian_tar();
        run(Command::new("tar").arg("-xf").arg(&debian).arg("-C").arg(&tree))?;
        let mut files = list_files(&tree)?;
        files.truncate(FILES);
        let mut dockerfile = "FROM scratch\n".to_owned();
        for (number, part) in files.chunks(FILES.div_ceil(LAYERS)).enumerate() {
            let list = context.join("list");
            std::fs::write(&list, part.join("\n")).map_err(|error| error.to_string())?;
            let name = format!("part-{number}.tar");
            let tar = context.join(&name);
            run(Command::new("tar").arg("-cf").arg(tar).arg("-C").arg(&tree).arg("-T").arg(&list))?;
            dockerfile.push_str(&format!("ADD {name} /\n"));
        }
        std::fs::write(context.join("Dockerfile"), dockerfile).map_err(|error| error.to_string())?;
        let context = context.to_string_lossy().into_owned();
        run(docker.command(&["build", "-q", "-t", "bench-twenty:1", &context]).env("DOCKER_BUILDKIT", "0"))?;
        docker.cli(&["save", "-o", &target.to_string_lossy(), "bench-twenty:1"])?;
        docker.cli(&["rmi", "bench-twenty:1"])?;
        std::fs::remove_dir_all(&work).map_err(|error| error.to_string())
    })
}

/// Regular files below a directory, sorted, as `find` prints them.
fn list_files(tree: &Path) -> Result<Vec<String>, String> {
    let found = Command::new("find").args([".", "-type", "f"]).current_dir(tree).output();
    let text = String::from_utf8_lossy(&found.map_err(|error| error.to_string())?.stdout).into_owned();
    let mut files: Vec<String> = text.lines().map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

fn run(command: &mut Command) -> Outcome {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Makes a file outside the repository once, for all runs.
fn cached(name: &str, make: impl FnOnce(&Path) -> Outcome) -> Result<PathBuf, String> {
    let directory = testkit::image::cache_dir();
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let target = directory.join(name);
    if !target.is_file() {
        let unfinished = directory.join(format!("{name}.unfinished"));
        make(&unfinished)?;
        std::fs::rename(unfinished, &target).map_err(|error| error.to_string())?;
    }
    Ok(target)
}

#[expect(clippy::cast_precision_loss, reason = "a size that is shown")]
pub(super) fn megabytes(path: &Path) -> Result<f64, String> {
    std::fs::metadata(path).map(|file| file.len() as f64 / 1e6).map_err(|error| error.to_string())
}
