//! `swarm leave`.

use api_client::Query;

use crate::command::{Arity, Command, Flag, switch};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("force", 'f', "Leave although it is a manager")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Leave the swarm",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.client()?.call("POST", "/swarm/leave", &Query::new().flag("force", matches.on("force")))?;
    println!("Node left the swarm.");
    Ok(())
}
