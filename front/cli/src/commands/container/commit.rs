//! `commit`: an image from a container's changes.

use api_client::Query;
use serde_json::{Value as Json, json};

use crate::command::Kind::{List, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::commands::image::reference;
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("author", 'a', Text, "", "Who made it"),
    flag("change", 'c', List, "", "Dockerfile instruction to apply to the image"),
    flag("message", 'm', Text, "", "Words about it"),
    long("no-pause", crate::command::Kind::Switch, "Do not pause the container meanwhile"),
    flag("pause", 'p', crate::command::Kind::Switch, "true", "Pause the container meanwhile"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a new image from a container's changes",
    usage: &["[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"],
    spellings: &["container commit", "commit"],
    flags: &[FLAGS],
    arity: Arity::Range(1, 2),
    interspersed: false,
    examples: &["commit -m 'with my files' web my/web:1.0"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (repository, tag) = if matches.arg(1).is_empty() {
        (String::new(), String::new())
    } else {
        reference::parse(matches.arg(1))?.repository_and_tag()
    };
    let pause = matches.on("pause") && !matches.on("no-pause");
    let mut query = Query::new()
        .set("container", matches.arg(0))
        .text("repo", &repository)
        .text("tag", &tag)
        .text("comment", matches.text("message"))
        .text("author", matches.text("author"));
    for change in matches.list("change") {
        query = query.set("changes", change);
    }
    let query = if pause { query } else { query.set("pause", "0") };
    let answer: Json = session.client()?.post("/commit", &query, &json!({}))?;
    println!("{}", answer.get("Id").and_then(Json::as_str).unwrap_or_default());
    Ok(())
}
