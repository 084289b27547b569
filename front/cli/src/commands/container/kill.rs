//! `kill`: sends a signal.

use api_client::Query;

use super::bare::post_at_once;
use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, flag};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[flag("signal", 's', Text, "", "Signal to send, KILL if not said")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Kill one or more running containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container kill", "kill"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["kill -s HUP web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    post_at_once(session, matches, "kill", &Query::new().text("signal", matches.text("signal")))
}
