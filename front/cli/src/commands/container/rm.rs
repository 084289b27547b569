//! `rm`: removes containers.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, Flag, switch};
use crate::commands::each::each_at_once;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("force", 'f', "Kill it first when it runs"),
    switch("link", 'l', "Remove only the link of that name"),
    switch("volumes", 'v', "Remove its anonymous volumes too"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove one or more containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container rm", "container remove", "rm"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["rm -f web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let force = matches.on("force");
    let query =
        Query::new().flag("v", matches.on("volumes")).flag("link", matches.on("link")).flag("force", force);
    each_at_once(&matches.args, |argument| {
        let name = argument.trim_matches('/');
        if name.is_empty() {
            return Err(Failure::text("container name cannot be empty"));
        }
        match client.call("DELETE", &format!("/containers/{}", path_escape(name)), &query) {
            // Forced removal of what is not there is told, and is no failure.
            Err(error) if force && error.is_not_found() => {
                eprintln!("{error}");
                Ok(false)
            }
            Err(error) => Err(error.into()),
            Ok(()) => Ok(true),
        }
    })
}
