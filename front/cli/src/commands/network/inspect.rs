//! `network inspect`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, FORMAT_INSPECT, Flag, switch};
use crate::failure::Outcome;
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[FORMAT_INSPECT, switch("verbose", 'v', "Show more, for diagnosis")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display detailed information on one or more networks",
    usage: &["[OPTIONS] NETWORK [NETWORK...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' bridge"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let query = if matches.on("verbose") { Query::new().set("verbose", "true") } else { Query::new() };
    inspect::each(matches.text("format"), &matches.args, |name| {
        Ok(client.get(&format!("/networks/{}", path_escape(name)), &query)?)
    })
}
