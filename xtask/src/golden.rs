//! `cargo xtask golden [FILE] [--check]`: records the parity suite, and what it makes of the corpus of Dockerfiles, from a
//! live Docker engine.
//!
//! The engine is the reference engine's dockerd, started here on roots of its own and in a network namespace of its
//! own, so that nothing else on the machine is touched. Files that name a registry are held from inside that namespace, where
//! the registries are. `--check` compares with wharf's CLI as the program instead of
//! writing: the third pairing, wharf's command line against Docker's engine.

use std::path::PathBuf;

use testkit::corpus;
use testkit::parity::{self, Block, Registries, Target};
use testkit::registry::{Program, Registry};

use crate::reference::Reference;
use crate::{Outcome, root};

/// Records all case files, or those whose name contains one of the arguments.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let check = arguments.iter().any(|argument| argument == "--check");
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let reference = Reference::start()?;
    let program =
        if check { crate::build::target_dir()?.join("debug/wharf") } else { crate::reference::docker_cli()? };
    let work_dir = reference.work.join("client");
    let link = reference.work.join("bin/docker");
    std::fs::create_dir_all(reference.work.join("bin")).map_err(|error| error.to_string())?;
    std::os::unix::fs::symlink(program, &link).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&work_dir).map_err(|error| error.to_string())?;
    let target = Target { program: link, socket: reference.socket.clone(), work_dir, registries: None };
    let mut differences = build_corpus(&target, corpus::Door::Classic, &names, check)?;
    if let Some(buildx) = testkit::peers::docker_plugin("buildx").filter(|_| !check) {
        let program = corpus::docker_with_buildx(&reference.work.join("buildx"), &buildx, &target.program);
        let target = Target { program, ..target.clone() };
        differences.push_str(&build_corpus(&target, corpus::Door::BuildKit, &names, check)?);
    }
    for path in case_files(&names)? {
        let golden = path.with_extension("golden");
        let seen = hold(&reference, &target, &parity::read(&path))?;
        println!(
            "{}: {} steps",
            path.file_name().unwrap_or_default().to_string_lossy(),
            parity::count_steps(&parity::read(&path))
        );
        if check {
            differences.push_str(&parity::differences(&parity::read(&golden), &seen));
        } else {
            std::fs::write(&golden, parity::render(&seen))
                .map_err(|error| format!("{}: {error}", golden.display()))?;
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(format!("wharf's command line on Docker's engine differs:\n{differences}"))
    }
}

/// Builds the corpus of Dockerfiles through a door, when an argument begins with `corpus` or there is none; `corpus/NAME` is one case.
fn build_corpus(
    target: &Target,
    door: corpus::Door,
    names: &[&String],
    check: bool,
) -> Result<String, String> {
    let mut differences = String::new();
    let mut cases = door.cases(&root().join("tests/e2e/build/corpus"));
    cases.retain(|path| {
        names.is_empty()
            || names.iter().any(|name| path.with_extension("").ends_with(name))
            || names.iter().any(|name| *name == "corpus")
    });
    if cases.is_empty() {
        return Ok(differences);
    }
    let runner = corpus::Corpus::new(target, door);
    for path in cases {
        let case = corpus::read(&path);
        let seen = runner.run(&case);
        let golden = door.golden(&path);
        println!("{}: {} lines", case.name, seen.lines().count());
        if check {
            let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
            differences.push_str(&corpus::differences(&case.name, &wanted, &seen));
        } else {
            std::fs::write(&golden, seen).map_err(|error| format!("{}: {error}", golden.display()))?;
        }
    }
    Ok(differences)
}

/// Holds the conversation, with registries beside the engine when it names them.
fn hold(reference: &Reference, target: &Target, blocks: &[Block]) -> Result<Vec<Block>, String> {
    if !parity::needs_registries(blocks) {
        return Ok(blocks.iter().map(|block| parity::run_block(target, block)).collect());
    }
    // What a thread starts is in the thread's network namespace.
    let held = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            reference.enter_network()?;
            let start = |accounts| Registry::start(Program::Docker, &reference.work, accounts);
            let (open, accounts) = (start(false), start(true));
            let registries =
                Registries { open: open.address().to_owned(), accounts: accounts.address().to_owned() };
            let target = Target { registries: Some(registries), ..target.clone() };
            Ok(blocks.iter().map(|block| parity::run_block(&target, block)).collect())
        });
        thread.join()
    });
    held.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn case_files(names: &[&String]) -> Result<Vec<PathBuf>, String> {
    let dir = root().join("tests/e2e/parity");
    let list = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut paths: Vec<PathBuf> = list
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parity"))
        .filter(|path| {
            names.is_empty() || names.iter().any(|name| path.to_string_lossy().contains(name.as_str()))
        })
        .collect();
    paths.sort();
    Ok(paths)
}
