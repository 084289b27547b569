//! `container prune`: removes all stopped containers.

use api_client::{Client, Query};
use model::Filters;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::commands::prune::{confirm, reclaimed};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] =
    &[long("filter", Filter, "Remove only what fits, until=24h say"), switch("force", 'f', "Do not ask")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove all stopped containers",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["container prune -f --filter until=24h"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    confirm(matches, "This will remove all stopped containers.")?;
    let (text, space) = prune(session.client()?, &matches.filters())?;
    if !text.is_empty() {
        println!("{text}");
    }
    reclaimed(space);
    Ok(())
}

/// Removes, and says what, and how much came free.
pub fn prune(client: &Client, filters: &Filters) -> Result<(String, f64), Failure> {
    let answer: Json = client.ask("POST", "/containers/prune", &Query::new().filters(filters))?;
    Ok((listed(&answer, "ContainersDeleted", "Deleted Containers:"), space(&answer)))
}

/// The names of a field under a heading, ready to print; empty when there are none.
pub fn listed(answer: &Json, field: &str, heading: &str) -> String {
    let names: Vec<&str> =
        answer.get(field).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    if names.is_empty() { String::new() } else { format!("{heading}\n{}\n", names.join("\n")) }
}

/// The bytes that came free.
pub fn space(answer: &Json) -> f64 {
    answer.get("SpaceReclaimed").and_then(Json::as_f64).unwrap_or(0.0)
}
