//! `restart`.

use super::bare::{post_each, stop_query};
use crate::command::Kind::{Int, Text};
use crate::command::{Arity, Command, Flag, flag};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("signal", 's', Text, "", "Signal that asks it to stop"),
    flag("timeout", 't', Int, "0", "Seconds it has before it is killed"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Restart one or more containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container restart", "restart"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["restart -t 30 web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    post_each(session, matches, "restart", &stop_query(matches))
}
