//! `build`: an image from a Dockerfile, through the engine's `POST /build`.
//!
//! The argument says where the files are (`source`), a folder gives its Dockerfile (`local`), the flags become the query
//! (`request`), the files go along or are read in place (`send`), and what comes back is shown (`output`).

mod flags;
mod local;
mod output;
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
    refusal::check(session, matches)?;
    let mode = output::Mode::of(session, matches)?;
    let id_file = matches.text("iidfile");
    if !id_file.is_empty() {
        remove_stale(id_file)?;
    }
    let source = source::find(matches.arg(0), matches.text("file"))?;
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
