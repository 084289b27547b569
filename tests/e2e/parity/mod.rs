//! The parity suite: recorded conversations with Docker 26.1, repeated with wharf in two pairings.
//!
//! The third pairing, wharf's command line on Docker's engine, needs that engine: `cargo xtask golden --check`.

mod dockerfiles;

use std::path::{Path, PathBuf};

use testkit::parity::{self, Registries, Target};
use testkit::registry::{Program, Registry};

fn check(name: &str, program: &Path) {
    if testkit::census::is_cgroup_v2() {
        eprintln!(
            "skipped: Docker was recorded on cgroup v1, whose files, defaults and warnings are in its answers"
        );
        return;
    }
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("parity");
    let cases = parity::read(&dir.join(format!("{name}.parity")));
    if parity::needs_registries(&cases) && !Program::any().is_there() {
        eprintln!("skipped: this machine has no registry with accounts");
        return;
    }
    let engine = testkit::Engine::with_busybox();
    let bin = engine.root().join("bin");
    std::fs::create_dir_all(&bin).expect("make a folder for the program");
    let link = bin.join("docker");
    std::os::unix::fs::symlink(program, &link).expect("name the program docker");
    let work_dir = engine.root().join("work");
    std::fs::create_dir_all(&work_dir).expect("make a work folder");
    let mut golden = parity::read(&dir.join(format!("{name}.golden")));
    if let Some(driver) = testkit::engine::storage_driver() {
        // Recorded with Docker's overlay2; the name is all that may differ with another driver.
        let steps = golden.iter_mut().flat_map(|block| &mut block.steps);
        steps.for_each(|line| *line = line.replace("overlay2", &driver));
    }
    let started = parity::needs_registries(&cases).then(|| {
        let start = |accounts| Registry::start(Program::any(), engine.root(), accounts);
        (start(false), start(true))
    });
    let registries = started.as_ref().map(|(open, accounts)| Registries {
        open: open.address().to_owned(),
        accounts: accounts.address().to_owned(),
    });
    let target = Target { program: link, socket: engine.socket_path(), work_dir, registries };
    let seen: Vec<_> = cases.iter().map(|block| parity::run_block(&target, block)).collect();
    let report = parity::differences(&golden, &seen);
    assert!(report.is_empty(), "{name} differs from Docker:\n{report}");
}

pub(crate) fn docker_cli() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|dir| dir.join("docker")).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: this machine has no docker command");
    }
    found
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        /// wharf's command line, called as docker, on wharf's engine.
        mod wharf_cli {
            $(#[test]
            fn $name() {
                super::check(stringify!($name), &testkit::engine::binary_dir().join("wharf"));
            })*
        }

        /// The docker command line on wharf's engine.
        mod docker_cli {
            $(#[test]
            fn $name() {
                if let Some(program) = super::docker_cli() {
                    super::check(stringify!($name), &program);
                }
            })*
        }
    };
}

suite!(
    api, exec, files, images, inspect, lifecycle, login, logs, manifest, options, ps, registry, run, system
);

#[test]
fn the_suite_is_large_enough() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("parity");
    let steps: usize = std::fs::read_dir(dir)
        .expect("list the suite")
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "parity"))
        .map(|entry| parity::count_steps(&parity::read(&entry.path())))
        .sum();
    assert!(steps >= 250, "only {steps} command lines and calls");
}
