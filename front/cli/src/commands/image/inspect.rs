//! `image inspect`.

use api_client::Query;
use api_client::query::path_escape;

use super::push::platform;
use crate::command::Kind::Text;
use crate::command::{Arity, Command, FORMAT_INSPECT, Flag, long};
use crate::failure::Outcome;
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[FORMAT_INSPECT, long("platform", Text, "Show this platform of the image")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display detailed information on one or more images",
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["image inspect -f '{{.Config.Cmd}}' debian"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.require(matches, "platform", "1.49")?;
    let client = session.client()?;
    let query = match matches.text("platform") {
        "" => Query::new(),
        text => Query::new().set("platform", platform(text)?),
    };
    inspect::each(matches.text("format"), &matches.args, |name| {
        Ok(client.get(&format!("/images/{}/json", path_escape(name)), &query)?)
    })
}
