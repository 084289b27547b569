//! `container inspect`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, FORMAT_INSPECT, Flag, switch};
use crate::failure::Outcome;
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[FORMAT_INSPECT, switch("size", 's', "Show how much is written")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display detailed information on one or more containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["container inspect -f '{{.State.Status}}' web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let query = Query::new().flag("size", matches.on("size"));
    inspect::each(matches.text("format"), &matches.args, |name| {
        Ok(client.get(&format!("/containers/{}/json", path_escape(name)), &query)?)
    })
}
