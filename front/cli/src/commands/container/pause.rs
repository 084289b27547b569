//! `pause`.

use api_client::Query;

use super::bare::post_each;
use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Pause all processes within one or more containers",
    usage: &["CONTAINER [CONTAINER...]"],
    spellings: &["container pause", "pause"],
    flags: &[],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    post_each(session, matches, "pause", &Query::new())
}
