//! `rename`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Rename a container",
    usage: &["CONTAINER NEW_NAME"],
    spellings: &["container rename", "rename"],
    flags: &[],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (old, new) = (matches.arg(0).trim(), matches.arg(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::text("Error: Neither old nor new names may be empty"));
    }
    let path = format!("/containers/{}/rename", path_escape(old));
    session
        .client()?
        .call("POST", &path, &Query::new().set("name", new))
        .map_err(|error| Failure::text(format!("{error}\nError: failed to rename container named {old}")))
}
