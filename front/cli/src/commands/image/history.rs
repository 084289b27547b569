//! `history`: how an image came to be.

use api_client::Query;
use api_client::query::path_escape;
use serde::Deserialize;

use super::push::platform;
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    FORMAT,
    flag("human", 'H', Switch, "true", "Print sizes and dates for people"),
    long("no-trunc", Switch, "Show everything in full"),
    long("platform", Text, "Show this platform of the image"),
    switch("quiet", 'q', "Show only ids"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Show the history of an image",
    usage: &["[OPTIONS] IMAGE"],
    spellings: &["image history", "history"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["history --no-trunc debian"],
    run,
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Step {
    id: String,
    created: i64,
    created_by: String,
    size: i64,
    comment: String,
    #[serde(skip)]
    whole: bool,
    #[serde(skip)]
    human: bool,
}

const COLUMNS: &[Column<Step>] = &[
    column("ID", "IMAGE", |step| {
        if step.whole { step.id.as_str() } else { human::short_id(&step.id) }.into()
    }),
    column("CreatedSince", "CREATED", |step| match (step.created <= 0, step.human) {
        (true, true) => "N/A".into(),
        (_, true) => human::ago(step.created).into(),
        (_, false) => model::Timestamp::from_unix(step.created, 0).to_string().into(),
    }),
    column("CreatedAt", "CREATED AT", |step| model::Timestamp::from_unix(step.created, 0).to_string().into()),
    column("CreatedBy", "CREATED BY", |step| {
        let text = step.created_by.replace('\t', " ");
        if step.whole { text.into() } else { human::ellipsis(&text, 45).into() }
    }),
    column("Size", "SIZE", |step| {
        if step.human { human::size3(step.size as f64).into() } else { step.size.to_string().into() }
    }),
    column("Comment", "COMMENT", |step| step.comment.as_str().into()),
];

static LISTING: Listing<Step> = Listing {
    type_name: "*formatter.historyContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.require(matches, "platform", "1.48")?;
    let query = match matches.text("platform") {
        "" => Query::new(),
        text => Query::new().set("platform", platform(text)?),
    };
    let path = format!("/images/{}/history", path_escape(matches.arg(0)));
    let steps: Vec<Step> = session.client()?.get(&path, &query)?;
    let format = if matches.on("quiet") && matches.text("format").is_empty() {
        "{{.ID}}"
    } else {
        matches.text("format")
    };
    let format = match format {
        "" | "table" if !matches.on("human") => {
            "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        }
        other => other,
    };
    let (whole, human) = (matches.on("no-trunc"), matches.on("human"));
    LISTING.print(format, steps.into_iter().map(|step| Step { whole, human, ..step }).collect())
}
