//! Builds: the same Dockerfiles by BuildKit (docker's command line with buildx), by Docker's classic builder, by wharf.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use super::measure::{self, Cost};
use super::report::{Better, Report};
use super::{Contender, Pair};
use crate::Outcome;

/// Turns of each builder, and builds out of the cache in each.
const TURNS: usize = 5;
const CACHED: usize = 3;
/// Files of the large context.
const FILES: usize = 20_000;

/// Who builds.
#[derive(Clone, Copy)]
struct Builder<'p> {
    contender: &'p Contender,
    /// `DOCKER_BUILDKIT`.
    buildkit: &'static str,
}

impl Builder<'_> {
    fn build(&self, folder: &Path, more: &[&str]) -> Outcome {
        let folder = folder.to_string_lossy();
        let mut arguments = vec!["build", "-q", "-t", "bench-build:1"];
        arguments.extend_from_slice(more);
        arguments.push(&folder);
        let output = self
            .contender
            .command(&arguments)
            .env("DOCKER_BUILDKIT", self.buildkit)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Medians of a build without cache and of those right after it. One file is another one each time: who finds a layer
    /// there already, made in the same second, has not made it.
    fn both(&self, folder: &Path, altered: &str) -> Result<[Cost; 2], String> {
        self.build(folder, &[])?;
        let mut costs = [Vec::new(), Vec::new()];
        for turn in 0..TURNS {
            let content = format!("{} {turn}\n", self.buildkit);
            std::fs::write(folder.join(altered), content).map_err(|error| error.to_string())?;
            costs[0].push(measure::once(|| self.build(folder, &["--no-cache"]))?);
            for _ in 0..CACHED {
                costs[1].push(measure::once(|| self.build(folder, &[]))?);
            }
        }
        Ok(costs.map(|costs| Cost {
            wall: measure::median(costs.iter().map(|cost| cost.wall)),
            cpu: measure::median(costs.iter().map(|cost| cost.cpu)),
        }))
    }
}

/// All rows of builds.
pub(crate) fn builds(pair: &mut Pair, report: &mut Report) -> Outcome {
    give_buildx(&pair.docker)?;
    let small = steps(pair.wharf.work())?;
    let large = files(pair.wharf.work())?;
    let buildkit = Builder { contender: &pair.docker, buildkit: "1" };
    let classic = Builder { contender: &pair.docker, buildkit: "0" };
    let wharf = Builder { contender: &pair.wharf, buildkit: "1" };
    let [peer, peer_cached] = buildkit.both(&small, "f0")?;
    let [_, classic_cached] = classic.both(&small, "f0")?;
    let [own, own_cached] = wharf.both(&small, "f0")?;
    let mut less = |name: &str, peer: (&'static str, f64), own: f64, reach: f64, aim: f64| {
        report.ratio(name, "ms", peer, own, Better::Less, reach, aim);
    };
    less("5 COPY + 5 RUN, no cache: wall", ("BuildKit", peer.wall), own.wall, 8.0, 15.0);
    less("5 COPY + 5 RUN, no cache: CPU", ("BuildKit", peer.cpu), own.cpu, 8.0, 15.0);
    less("5 COPY + 5 RUN, cached: wall", ("BuildKit", peer_cached.wall), own_cached.wall, 25.0, 50.0);
    less("5 COPY + 5 RUN, cached: wall", ("classic", classic_cached.wall), own_cached.wall, 5.0, 10.0);
    let [peer, peer_cached] = buildkit.both(&large, "d0/f0")?;
    let [own, own_cached] = wharf.both(&large, "d0/f0")?;
    less("20 000 files, no cache: wall", ("BuildKit", peer.wall), own.wall, 8.0, 15.0);
    less("20 000 files, cached: wall", ("BuildKit", peer_cached.wall), own_cached.wall, 3.0, 5.0);
    let stages = stages(pair.wharf.work())?;
    let begin = Instant::now();
    wharf.build(&stages, &["--no-cache"])?;
    let seconds = begin.elapsed().as_secs_f64();
    report.fact("two stages of sleep 2 side by side", seconds, "s", "2.15, then 2.05");
    peak_memory(pair, report, &large)
}

/// Docker's command line finds its plugins in the folder of its configuration.
fn give_buildx(docker: &Contender) -> Outcome {
    let plugin = testkit::peers::docker_plugin("buildx").ok_or("docker has no buildx to build with")?;
    let folder = docker.work().join("config/cli-plugins");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::copy(&plugin, folder.join("docker-buildx"))
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", plugin.display()))
}

/// The highest resident memory of the engines' processes while they build the large context.
fn peak_memory(pair: &mut Pair, report: &mut Report, folder: &Path) -> Outcome {
    let mut peaks = Vec::new();
    for contender in [&mut pair.docker, &mut pair.wharf] {
        contender.stop();
        contender.start()?;
        let pids = contender.family();
        measure::reset_peaks(&pids);
        Builder { contender, buildkit: "1" }.build(folder, &["--no-cache"])?;
        peaks.push(measure::peak_memory(&pids) / 1024.0);
        contender.cli(&["rmi", "-f", "bench-build:1"])?;
    }
    if let [docker, wharf] = peaks[..] {
        let name = "engine's peak RSS, 20 000 files";
        report.ratio(name, "MiB", ("docker", docker), wharf, Better::Less, 4.0, 8.0);
    }
    Ok(())
}

fn folder(work: &Path, name: &str, dockerfile: &str) -> Result<PathBuf, String> {
    let folder = work.join(name);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("Dockerfile"), dockerfile).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn steps(work: &Path) -> Result<PathBuf, String> {
    let mut dockerfile = "FROM busybox\n".to_owned();
    for number in 0..5 {
        dockerfile.push_str(&format!("COPY f{number} /f{number}\nRUN cat /f{number} >/r{number}\n"));
    }
    let folder = folder(work, "build-steps", &dockerfile)?;
    for number in 0..5 {
        std::fs::write(folder.join(format!("f{number}")), format!("{number}\n"))
            .map_err(|error| error.to_string())?;
    }
    Ok(folder)
}

fn files(work: &Path) -> Result<PathBuf, String> {
    let folder = folder(work, "build-files", "FROM busybox\nCOPY . /src/\nRUN true\n")?;
    for number in 0..FILES {
        let path = folder.join(format!("d{}/f{number}", number % 200));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        std::fs::write(path, format!("{number}\n").repeat(50)).map_err(|error| error.to_string())?;
    }
    Ok(folder)
}

fn stages(work: &Path) -> Result<PathBuf, String> {
    let stage = |name: &str| format!("FROM busybox AS {name}\nRUN sleep 2 && echo {name} >/{name}\n");
    let dockerfile =
        format!("{}{}FROM busybox\nCOPY --from=a /a /a\nCOPY --from=b /b /b\n", stage("a"), stage("b"));
    folder(work, "build-stages", &dockerfile)
}
