//! `search`: images in a registry.

use api_client::{Body, Query};
use serde::Deserialize;
use std::io::Read;

use crate::command::Kind::{Filter, Int, Switch};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("filter", 'f', Filter, "", "Show only what fits, as stars=3 or is-official=true"),
    FORMAT,
    flag("limit", '\0', Int, "0", "Most results to show"),
    long("no-trunc", Switch, "Show everything in full"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Search Docker Hub for images",
    usage: &["[OPTIONS] TERM"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["search --limit 5 nginx"],
    run,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Found {
    name: String,
    description: String,
    star_count: i64,
    is_official: bool,
    #[serde(skip)]
    whole: bool,
}

const COLUMNS: &[Column<Found>] = &[
    column("Name", "NAME", |found| found.name.as_str().into()),
    column("Description", "DESCRIPTION", |found| {
        let text = found.description.replace(['\n', '\r'], " ");
        if found.whole { text.into() } else { human::ellipsis(&text, 45).into() }
    }),
    column("StarCount", "STARS", |found| found.star_count.to_string().into()),
    column("IsOfficial", "OFFICIAL", |found| if found.is_official { "[OK]" } else { "" }.into()),
];

static LISTING: Listing<Found> = Listing {
    type_name: "*registry.searchContext",
    columns: COLUMNS,
    table: "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let mut query = Query::new().set("term", matches.arg(0)).filters(&matches.filters());
    if matches.int("limit") > 0 {
        query = query.set("limit", matches.text("limit"));
    }
    let header = credentials::header_if_any(session, "docker.io");
    let headers = [("X-Registry-Auth", header.as_str())];
    let mut answer = session.client()?.send("GET", "/images/search", &query, &headers, Body::Empty)?;
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes)?;
    let list: Vec<Found> =
        serde_json::from_slice(&bytes).map_err(|error| Failure::text(error.to_string()))?;
    let whole = matches.on("no-trunc");
    LISTING.print(matches.text("format"), list.into_iter().map(|found| Found { whole, ..found }).collect())
}
