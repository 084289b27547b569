//! `volume prune`.

use api_client::{Client, Query};
use model::Filters;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::commands::container::prune::{listed, space};
use crate::commands::prune::{confirm, reclaimed};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Remove named ones too, not only anonymous ones"),
    long("filter", Filter, "Remove only what fits, label=x say"),
    switch("force", 'f', "Do not ask"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove unused local volumes",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["volume prune -af"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let all = matches.on("all");
    let mut filters = matches.filters();
    if all {
        if filters.contains("all") {
            return Err(Failure::text("conflicting options: cannot specify both --all and --filter all=1"));
        }
        filters.add("all", "true");
    }
    confirm(
        matches,
        if all {
            "This will remove all local volumes not used by at least one container."
        } else {
            "This will remove anonymous local volumes not used by at least one container."
        },
    )?;
    let (text, space) = prune(session.client()?, &filters)?;
    if !text.is_empty() {
        println!("{text}");
    }
    reclaimed(space);
    Ok(())
}

/// Removes, and says what, and how much came free.
pub fn prune(client: &Client, filters: &Filters) -> Result<(String, f64), Failure> {
    let answer: Json = client.ask("POST", "/volumes/prune", &Query::new().filters(filters))?;
    Ok((listed(&answer, "VolumesDeleted", "Deleted Volumes:"), space(&answer)))
}
