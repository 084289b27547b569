//! `cargo xtask real [NAME...] [--classic | --buildkit]`: Dockerfiles of real software, built side by side by Docker and by
//! wharf through both doors.
//!
//! What packages put into images is another thing every day, so nothing is recorded: both engines build now, from the same
//! base image. Docker is a dockerd of the reference engine that belongs to this run. File system, configuration and history
//! have to be the same, but for what two lists beside the cases name: `volatile.txt`, files that no two runs of their
//! programs write alike, and `differs.txt`, in which wharf differs.

mod compare;

use std::path::{Path, PathBuf};

use testkit::corpus::{self, Case, Corpus, Door};
use testkit::parity::Target;
use testkit::{Engine, image, peers};

use self::compare::{Image, Lists};
use crate::reference::{self, Reference};
use crate::{Outcome, root};

const BASE: &str = "debian:bookworm";
const IMPORT: &str = "repo=debian&tag=bookworm&changes=CMD%20%5B%22bash%22%5D";

/// Compares all cases, or those whose names are given.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let folder = root().join("tests/e2e/build/real");
    let paths = chosen(&folder, arguments)?;
    let doors: Vec<Door> = [(Door::Classic, "--buildkit"), (Door::BuildKit, "--classic")]
        .into_iter()
        .filter(|(_, other)| !arguments.iter().any(|argument| argument == other))
        .map(|(door, _)| door)
        .collect();
    let lists = Lists::read(&folder)?;
    if std::env::var_os("WHARF_BIN_DIR").is_none() {
        crate::build::cargo(&["build", "--workspace", "--bins"])?;
    }
    let engines = Engines::start()?;
    let mut different = Vec::new();
    for door in doors {
        let targets = engines.targets(door)?;
        let runners = targets.each_ref().map(|target| Corpus::on(target, door, BASE).counting_layers());
        for case in paths.iter().map(|path| corpus::read(path)) {
            let name = format!("{}, {door:?}", case.name);
            let [docker, wharf] = images(&runners, &case).map_err(|error| format!("{name}: {error}"))?;
            let report = lists.compare(&case.name, &docker, &wharf);
            if report.is_empty() {
                println!("{name}: same ({})", lists.summary(&docker));
            } else {
                println!("{name}: DIFFERENT\n{report}");
                different.push(name);
            }
        }
    }
    if different.is_empty() {
        Ok(())
    } else {
        Err(format!("images differ from Docker's: {}", different.join("; ")))
    }
}

/// What both make of a case, at the same time: the packages are the same.
fn images([docker, wharf]: &[Corpus<'_>; 2], case: &Case) -> Result<[Image; 2], String> {
    let (docker, wharf) = std::thread::scope(|scope| {
        let docker = scope.spawn(|| docker.run(case));
        let wharf = wharf.run(case);
        (docker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), wharf)
    });
    let read = |engine, recording: &str| {
        Image::read(recording).map_err(|said| format!("{engine} did not build it:\n{said}"))
    };
    Ok([read("Docker", &docker)?, read("wharf", &wharf)?])
}

fn chosen(folder: &Path, arguments: &[String]) -> Result<Vec<PathBuf>, String> {
    let all = Door::BuildKit.cases(folder);
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_named = |path: &Path, name: &String| path.file_stem().is_some_and(|stem| *stem == **name);
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|path| is_named(path, name))) {
        return Err(format!("there is no case {unknown} in {}", folder.display()));
    }
    Ok(all
        .into_iter()
        .filter(|path| names.is_empty() || names.iter().any(|name| is_named(path, name)))
        .collect())
}

/// Docker and wharf, each with the base image, and the programs to ask them with.
struct Engines {
    docker: Reference,
    wharf: Engine,
    programs: PathBuf,
}

impl Engines {
    fn start() -> Result<Self, String> {
        let docker = Reference::start_with_host_network()?;
        let wharf = Engine::start();
        for socket in [&docker.socket, &wharf.socket_path()] {
            reference::import(socket, &image::debian_tar(), IMPORT)?;
        }
        let programs = docker.work.join("programs");
        std::fs::create_dir_all(&programs).map_err(|error| error.to_string())?;
        let link = programs.join("docker");
        std::os::unix::fs::symlink(reference::docker_cli()?, link).map_err(|error| error.to_string())?;
        Ok(Self { docker, wharf, programs })
    }

    /// Docker and wharf, asked through a door.
    fn targets(&self, door: Door) -> Result<[Target; 2], String> {
        let program = self.program(door)?;
        let hosted = with_host_network(&self.programs.join("hosted"), &program)?;
        Ok([
            target(hosted, self.docker.socket.clone(), self.docker.work.join("client"))?,
            target(program, self.wharf.socket_path(), self.wharf.root().join("client"))?,
        ])
    }

    fn program(&self, door: Door) -> Result<PathBuf, String> {
        let docker = self.programs.join("docker");
        Ok(match door {
            Door::Classic => docker,
            Door::BuildKit => {
                let buildx = peers::docker_plugin("buildx").ok_or("there is no buildx")?;
                corpus::docker_with_buildx(&self.programs.join("buildx"), &buildx, &docker)
            }
        })
    }
}

fn target(program: PathBuf, socket: PathBuf, work_dir: PathBuf) -> Result<Target, String> {
    std::fs::create_dir_all(&work_dir).map_err(|error| format!("{}: {error}", work_dir.display()))?;
    Ok(Target { program, socket, work_dir, registries: None })
}

/// A program called `docker` whose builds run in the network that the daemon has.
fn with_host_network(folder: &Path, program: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("docker");
    let program = program.display();
    let build = format!("shift; exec '{program}' build --network host \"$@\"");
    image::write_program(
        &path,
        &format!("#!/bin/sh\nif [ \"$1\" = build ]; then {build}; fi\nexec '{program}' \"$@\"\n"),
    );
    Ok(path)
}
