//! `volume rm`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, Flag, switch};
use crate::commands::each::each;
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("force", 'f', "No failure when it is not there")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove one or more volumes",
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    spellings: &["volume rm", "volume remove"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["volume rm data"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let query = Query::new().flag("force", matches.on("force"));
    each(&matches.args, |name| {
        Ok(client.call("DELETE", &format!("/volumes/{}", path_escape(name)), &query)?)
    })
}
