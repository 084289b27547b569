//! `volume inspect`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, FORMAT_INSPECT, Flag};
use crate::failure::Outcome;
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[FORMAT_INSPECT];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display detailed information on one or more volumes",
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["volume inspect -f '{{.Mountpoint}}' data"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    inspect::each(matches.text("format"), &matches.args, |name| {
        Ok(client.get(&format!("/volumes/{}", path_escape(name)), &Query::new())?)
    })
}
