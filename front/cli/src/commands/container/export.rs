//! `export`: a container's file system as a tar archive.

use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use api_client::Query;
use api_client::query::path_escape;
use transport::client::BodyReader;

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, flag};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[flag("output", 'o', Text, "", "Write to a file in place of stdout")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Export a container's filesystem as a tar archive",
    usage: &["[OPTIONS] CONTAINER"],
    spellings: &["container export", "export"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["export -o web.tar web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let output = matches.text("output");
    refuse_terminal(output)?;
    check_output(output, "failed to export container")?;
    let client = session.client()?;
    let mut answer =
        client.stream(&format!("/containers/{}/export", path_escape(matches.arg(0))), &Query::new())?;
    save(&mut answer.body, output, "failed to export container")
}

/// Archives do not belong on a terminal.
pub fn refuse_terminal(output: &str) -> Outcome {
    if output.is_empty() && terminal::is_terminal(std::io::stdout()) {
        return Err(Failure::text("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    Ok(())
}

/// Refuses a file in a folder that is not there, before anything is asked.
pub fn check_output(output: &str, complaint: &str) -> Outcome {
    let folder = std::path::Path::new(output).parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !output.is_empty() && !folder.is_dir() => {
            let folder = folder.display();
            Err(Failure::text(format!(
                "{complaint}: invalid output path: stat {folder}: no such file or directory"
            )))
        }
        _ => Ok(()),
    }
}

/// Writes a stream to a file, which appears only when it is whole, or to stdout.
pub fn save(source: &mut BodyReader, output: &str, complaint: &str) -> Outcome {
    if output.is_empty() {
        source.copy_to(std::io::stdout().as_fd())?;
        return Ok(());
    }
    let target = std::path::Path::new(output);
    if target.is_dir() {
        return Err(Failure::text(format!("{complaint}: {output} is a directory")));
    }
    let temporary = format!("{output}.tmp-{}", std::process::id());
    let private = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    let written = private
        .and_then(|file| source.copy_to(file.as_fd()))
        .and_then(|_| std::fs::rename(&temporary, output));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        let Failure::Text { text, .. } = file_failure("open", output, &error) else {
            return Failure::Status(1);
        };
        Failure::text(format!("{complaint}: {text}"))
    })
}
