//! `logout`: forgets credentials of a registry.

use super::{auth, login};
use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Log out from a registry",
    usage: &["[SERVER]"],
    spellings: &["logout"],
    flags: &[],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let key = match matches.arg(0) {
        "" | "docker.io" | "index.docker.io" => auth::HUB,
        server => login::host_of(server),
    };
    println!("Removing login credentials for {key}");
    auth::erase(session, key)?;
    Ok(())
}
