//! `stop`.

use super::bare::{post_at_once, stop_query};
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
    about: "Stop one or more running containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container stop", "stop"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["stop -t 30 web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    post_at_once(session, matches, "stop", &stop_query(matches))
}
