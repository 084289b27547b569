//! `context show`: the name of the one in use.

use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Print the name of the current context",
    usage: &[""],
    spellings: &[],
    flags: &[],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, _matches: &Matches) -> Outcome {
    println!("{}", session.context_name());
    Ok(())
}
