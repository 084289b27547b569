//! The corpus of Dockerfiles: what Docker's two builders made of each, wharf makes of it too, but for two lists.
//! `CORPUS=part of a name` leaves all other cases out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use testkit::corpus::{self, Corpus, Door};
use testkit::parity::Target;
use testkit::peers;

/// How many engines share the work.
const PARTS: usize = 4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("build/corpus")
}

/// Cases in which wharf differs, with the reason; one that no longer does has to leave the list.
fn known(door: Door) -> BTreeMap<String, String> {
    let name = match door {
        Door::Classic => "differs.txt",
        Door::BuildKit => "differs.buildkit.txt",
    };
    let text = std::fs::read_to_string(folder().join(name)).expect("read the list");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| line.split_once(": ").map(|(name, why)| (name.to_owned(), why.to_owned()));
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("no reason: {line}"))).collect()
}

fn check(door: Door, program: &Path, part: usize) {
    if testkit::census::is_cgroup_v2() {
        eprintln!("skipped: Docker was recorded on cgroup v1");
        return;
    }
    let engine = testkit::Engine::with_busybox();
    let bin = engine.root().join("bin");
    std::fs::create_dir_all(&bin).expect("make a folder for the program");
    let link = bin.join("docker");
    std::os::unix::fs::symlink(program, &link).expect("name the program docker");
    let link = match door {
        Door::Classic => link,
        Door::BuildKit => {
            let Some(buildx) = peers::docker_plugin("buildx") else { return };
            corpus::docker_with_buildx(&engine.root().join("buildx"), &buildx, &link)
        }
    };
    let work_dir = engine.root().join("work");
    std::fs::create_dir_all(&work_dir).expect("make a work folder");
    let target = Target { program: link, socket: engine.socket_path(), work_dir, registries: None };
    let runner = Corpus::new(&target, door);
    let known = known(door);
    let mut report = String::new();
    let only = std::env::var("CORPUS").unwrap_or_default();
    for path in door.cases(&folder()).iter().skip(part).step_by(PARTS) {
        let case = corpus::read(path);
        if !case.name.contains(&only) {
            continue;
        }
        let golden = std::fs::read_to_string(door.golden(path)).expect("the case is recorded");
        let differences = corpus::differences(&case.name, &golden, &runner.run(&case));
        match (known.contains_key(&case.name), differences.is_empty()) {
            (true, true) => {
                report.push_str(&format!("== {}\n    differs no more: take it off the list\n", case.name))
            }
            (false, false) => report.push_str(&differences),
            _ => {}
        }
    }
    assert!(report.is_empty(), "builds differ from Docker's:\n{report}");
}

macro_rules! parts {
    ($($name:ident $part:literal),*) => {
        /// wharf's command line, called as docker, on wharf's engine; contexts are read in place.
        mod wharf_cli {
            $(#[test]
            fn $name() {
                super::check(super::Door::Classic, &testkit::engine::binary_dir().join("wharf"), $part);
            })*
        }

        /// The docker command line on wharf's engine; contexts come as archives.
        mod docker_cli {
            $(#[test]
            fn $name() {
                if let Some(program) = crate::parity::docker_cli() {
                    super::check(super::Door::Classic, &program, $part);
                }
            })*
        }

        /// buildx on wharf's engine, which is BuildKit to it; wharf's command line for all else.
        mod buildx {
            $(#[test]
            fn $name() {
                super::check(super::Door::BuildKit, &testkit::engine::binary_dir().join("wharf"), $part);
            })*
        }
    };
}

parts!(first 0, second 1, third 2, fourth 3);

#[test]
fn the_corpus_is_large_enough_and_its_lists_of_differences_are_of_cases() {
    for door in [Door::Classic, Door::BuildKit] {
        let names: Vec<String> = door.cases(&folder()).iter().map(|path| corpus::read(path).name).collect();
        assert!(names.len() >= 150, "only {} cases", names.len());
        let known = known(door);
        assert!(known.keys().all(|name| names.contains(name)), "a case that is none: {known:?}");
        assert!(known.len() * 7 < names.len(), "{} of {} differ", known.len(), names.len());
    }
}
