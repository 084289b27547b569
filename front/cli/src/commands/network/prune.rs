//! `network prune`.

use api_client::{Client, Query};
use model::Filters;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::commands::container::prune::listed;
use crate::commands::prune::confirm;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] =
    &[long("filter", Filter, "Remove only what fits, until=24h say"), switch("force", 'f', "Do not ask")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove all unused networks",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["network prune -f"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    confirm(matches, "This will remove all custom networks not used by at least one container.")?;
    let text = prune(session.client()?, &matches.filters())?;
    if !text.is_empty() {
        println!("{text}");
    }
    Ok(())
}

/// Removes, and says what.
pub fn prune(client: &Client, filters: &Filters) -> Result<String, Failure> {
    let answer: Json = client.ask("POST", "/networks/prune", &Query::new().filters(filters))?;
    Ok(listed(&answer, "NetworksDeleted", "Deleted Networks:"))
}
