//! `rmi`: removes names and images.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::Value as Json;

use super::push::platform;
use crate::command::Kind::{Strings, Switch};
use crate::command::{Arity, Command, Flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("force", 'f', "Remove it although containers or other names use it"),
    long("no-prune", Switch, "Keep parents that have no name"),
    long("platform", Strings, "Remove only these platforms"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove one or more images",
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    spellings: &["image rm", "image remove", "rmi"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["rmi debian:bookworm"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.require(matches, "platform", "1.50")?;
    let client = session.client()?;
    let force = matches.on("force");
    let mut query = Query::new().flag("force", force);
    if matches.on("no-prune") {
        query = query.set("noprune", "1");
    }
    for text in matches.list("platform") {
        query = query.set("platforms", platform(text)?);
    }
    let mut faults = Vec::new();
    let mut fatal = false;
    for name in &matches.args {
        match client.ask::<Vec<Json>>("DELETE", &format!("/images/{}", path_escape(name)), &query) {
            Ok(list) => print(&list),
            Err(error) => {
                fatal |= !error.is_not_found();
                faults.push(error.to_string());
            }
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    if force && !fatal {
        eprintln!("{}", faults.join("\n"));
        return Ok(());
    }
    Err(Failure::text(faults.join("\n")))
}

fn print(list: &[Json]) {
    for entry in list {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        if let Some(id) = text("Deleted") {
            println!("Deleted: {id}");
        } else if let Some(name) = text("Untagged") {
            println!("Untagged: {name}");
        }
    }
}
