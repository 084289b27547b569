//! The corpus of Dockerfiles: what Docker's classic builder made of each, wharf makes of it too, but for a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use testkit::corpus::{self, Corpus};
use testkit::parity::Target;

/// How many engines share the work.
const PARTS: usize = 4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("build/corpus")
}

/// Cases in which wharf differs, with the reason; one that no longer does has to leave the list.
fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differs.txt")).expect("read the list");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| line.split_once(": ").map(|(name, why)| (name.to_owned(), why.to_owned()));
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("no reason: {line}"))).collect()
}

fn check(program: &Path, part: usize) {
    if testkit::census::is_cgroup_v2() {
        eprintln!("skipped: Docker was recorded on cgroup v1");
        return;
    }
    let engine = testkit::Engine::with_busybox();
    let bin = engine.root().join("bin");
    std::fs::create_dir_all(&bin).expect("make a folder for the program");
    let link = bin.join("docker");
    std::os::unix::fs::symlink(program, &link).expect("name the program docker");
    let work_dir = engine.root().join("work");
    std::fs::create_dir_all(&work_dir).expect("make a work folder");
    let target = Target { program: link, socket: engine.socket_path(), work_dir, registries: None };
    let runner = Corpus::new(&target);
    let known = known();
    let mut report = String::new();
    for path in corpus::files(&folder()).iter().skip(part).step_by(PARTS) {
        let case = corpus::read(path);
        let golden = std::fs::read_to_string(path.with_extension("golden")).expect("the case is recorded");
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
                super::check(&testkit::engine::binary_dir().join("wharf"), $part);
            })*
        }

        /// The docker command line on wharf's engine; contexts come as archives.
        mod docker_cli {
            $(#[test]
            fn $name() {
                if let Some(program) = crate::parity::docker_cli() {
                    super::check(&program, $part);
                }
            })*
        }
    };
}

parts!(first 0, second 1, third 2, fourth 3);

#[test]
fn the_corpus_is_large_enough_and_its_list_of_differences_is_of_cases() {
    let names: Vec<String> = corpus::files(&folder()).iter().map(|path| corpus::read(path).name).collect();
    assert!(names.len() >= 150, "only {} cases", names.len());
    let known = known();
    assert!(known.keys().all(|name| names.contains(name)), "a case that is none: {known:?}");
    assert!(known.len() * 7 < names.len(), "{} of {} differ", known.len(), names.len());
}
