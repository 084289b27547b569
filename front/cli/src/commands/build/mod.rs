//! `build`: an image from a Dockerfile, through BuildKit's protocol or the engine's `POST /build`.
//!
//! The argument says where the files are (`source`), a folder gives its Dockerfile (`local`). BuildKit's protocol is
//! taken where the engine speaks it and nothing is asked that only the classic door can do (`buildkit`). For that door
//! the flags become the query (`request`), the files go along or are read in place (`send`), and what comes back is
//! shown (`output`).

pub(super) mod buildkit;
mod flags;
mod local;
pub(super) mod output;
mod refusal;
mod request;
mod send;
mod source;

use crate::command::{Arity, Command};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Build an image from a Dockerfile",
    usage: &["[OPTIONS] PATH | URL | -"],
    spellings: &["build", "image build", "builder build", "buildx build"],
    flags: &[flags::FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &[
        "build -t app .",
        "build -f docker/prod.Dockerfile --build-arg VERSION=2 -t app:2 .",
        "build - < Dockerfile",
        "build https://example.com/app.git#main:server",
    ],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let is_classic = !wants_buildkit(session, matches)?;
    if is_classic {
        refusal::check(session, matches)?;
    }
    let mode = output::Mode::of(session, matches)?;
    let id_file = matches.text("iidfile");
    if !id_file.is_empty() {
        remove_stale(id_file)?;
    }
    let source = source::find(matches.arg(0), matches.text("file"))?;
    if !is_classic {
        return buildkit::run(session, matches, source, mode);
    }
    refusal::check_source(&source)?;
    let answer = send::send(session, matches, source, mode.is_quiet())?;
    let id = output::show(answer, mode)?;
    if id_file.is_empty() {
        return Ok(());
    }
    if id.is_empty() {
        return Err(Failure::text(format!("Server did not provide an image ID. Cannot write {id_file}")));
    }
    std::fs::write(id_file, id).map_err(|error| file_failure("open", id_file, &error))
}

/// Flags that only the classic door carries.
const CLASSIC_ONLY: [&str; 9] = [
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "memory",
    "memory-swap",
    "security-opt",
    "squash",
];

/// Whether to build through BuildKit's protocol: what the environment says, else what the engine does, unless something
/// is asked that only the other door can do.
fn wants_buildkit(session: &Session, matches: &Matches) -> Result<bool, Failure> {
    if let Some(text) = session.environment.own("BUILDKIT") {
        return crate::value::truth(text)
            .map_err(|_| Failure::text("DOCKER_BUILDKIT environment variable expects boolean value"));
    }
    if CLASSIC_ONLY.iter().any(|flag| matches.given(flag)) {
        return Ok(false);
    }
    Ok(session.client()?.ping()?.builder_version == "2")
}

/// The file of an earlier build must not be taken for that of one that fails.
fn remove_stale(path: &str) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let reason = file_failure("remove", path, &error).message();
            Err(Failure::text(format!("removing image ID file: {reason}")))
        }
        _ => Ok(()),
    }
}
