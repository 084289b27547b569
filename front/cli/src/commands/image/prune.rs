//! `image prune`: removes images nobody uses.

use api_client::{Client, Query};
use model::Filters;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::commands::container::prune::space;
use crate::commands::prune::{confirm, reclaimed};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Remove all that no container uses, not only those without name"),
    long("filter", Filter, "Remove only what fits, until=24h say"),
    switch("force", 'f', "Do not ask"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove unused images",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["image prune -af"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let all = matches.on("all");
    confirm(
        matches,
        if all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        },
    )?;
    let (text, space) = prune(session.client()?, matches.filters(), all)?;
    if !text.is_empty() {
        println!("{text}");
    }
    reclaimed(space);
    Ok(())
}

/// Removes, and says what, and how much came free.
pub fn prune(client: &Client, mut filters: Filters, all: bool) -> Result<(String, f64), Failure> {
    filters.add("dangling", if all { "false" } else { "true" });
    let answer: Json = client.ask("POST", "/images/prune", &Query::new().filters(&filters))?;
    let mut text = String::new();
    for entry in answer.get("ImagesDeleted").and_then(Json::as_array).into_iter().flatten() {
        for (name, word) in [("Untagged", "untagged: "), ("Deleted", "deleted: ")] {
            if let Some(value) = entry.get(name).and_then(Json::as_str) {
                text.push_str(word);
                text.push_str(value);
                text.push('\n');
            }
        }
    }
    if !text.is_empty() {
        text.insert_str(0, "Deleted Images:\n");
    }
    Ok((text, space(&answer)))
}
