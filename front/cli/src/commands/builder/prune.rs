//! `builder prune` and `buildx prune`: remove what builds keep for later ones.

use api::system::BuildPruneResponse;
use api_client::{Client, Query};
use model::Filters;

use super::{du, record};
use crate::command::Kind::{Bytes, Duration, Filter, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::commands::prune::{confirm, reclaimed};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Remove all of it, not only what nothing refers to"),
    long("filter", Filter, "Remove only what fits, until=24h say"),
    switch("force", 'f', "Do not ask"),
    flag("keep-storage", '\0', Bytes, "0", "Keep so much of it"),
    flag("max-used-space", '\0', Bytes, "0", "Remove until no more than this is used"),
    flag("min-free-space", '\0', Bytes, "0", "Remove until so much of the disk is free"),
    flag("reserved-space", '\0', Bytes, "0", "Keep so much of it"),
];

const BUILDX: &[Flag] = &[
    long("builder", Text, ""),
    switch("debug", 'D', ""),
    flag("timeout", '\0', Duration, "20s", ""),
    switch("verbose", '\0', "Show everything about what is removed"),
];

/// `builder prune`.
pub const COMMAND: Command = Command {
    about: "Remove build cache",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["builder prune -f --filter until=24h", "builder prune -af --keep-storage 10gb"],
    run,
};

/// `buildx prune`, which shows a table.
pub const WITH_TABLE: Command = Command {
    about: "Remove build cache",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS, BUILDX],
    arity: Arity::None,
    interspersed: true,
    examples: &["buildx prune -f --reserved-space 10gb"],
    run: run_with_table,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let report = prune(session, matches)?;
    let gone = report.caches_deleted.unwrap_or_default();
    if !gone.is_empty() {
        println!("Deleted build cache objects:\n{}\n", gone.join("\n"));
    }
    reclaimed(report.space_reclaimed as f64);
    Ok(())
}

fn run_with_table(session: &Session, matches: &Matches) -> Outcome {
    // The engine tells only ids of what it removed: what they were has to be asked before.
    let mut known = record::fetch(session.client()?, &Filters::default())?;
    let report = prune(session, matches)?;
    let gone = report.caches_deleted.unwrap_or_default();
    known.retain(|record| gone.contains(&record.id));
    if !known.is_empty() {
        du::table(known)?;
    }
    println!("Total:\t{}", human::size(report.space_reclaimed as f64));
    Ok(())
}

fn prune(session: &Session, matches: &Matches) -> Result<BuildPruneResponse, Failure> {
    let all = matches.on("all");
    let client = session.client()?;
    let query = query(client, matches)?;
    confirm(
        matches,
        if all { "This will remove all build cache." } else { "This will remove all dangling build cache." },
    )?;
    Ok(client.ask("POST", "/build/prune", &query)?)
}

fn query(client: &Client, matches: &Matches) -> Result<Query, Failure> {
    let amount = |name: &str| match crate::value::bytes(matches.text(name)).unwrap_or_default() {
        0 => String::new(),
        amount => amount.to_string(),
    };
    let query = Query::new().flag("all", matches.on("all")).filters(&matches.filters());
    let reserved =
        if matches.given("reserved-space") { amount("reserved-space") } else { amount("keep-storage") };
    if client.at_least("1.48")? {
        return Ok(query
            .text("reserved-space", &reserved)
            .text("max-used-space", &amount("max-used-space"))
            .text("min-free-space", &amount("min-free-space")));
    }
    for name in ["max-used-space", "min-free-space"] {
        if matches.given(name) {
            let theirs = client.version()?;
            return Err(Failure::text(format!(
                "\"--{name}\" requires API version 1.48, but the Docker daemon API version is {theirs}"
            )));
        }
    }
    Ok(query.text("keep-storage", &reserved))
}
