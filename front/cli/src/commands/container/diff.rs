//! `diff`: what a container changed in its file system.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::Value as Json;

use crate::command::{Arity, Command};
use crate::failure::{Failure, Outcome};
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;
use crate::template::Value;

/// The command.
pub const COMMAND: Command = Command {
    about: "Inspect changes to files or directories on a container's filesystem",
    usage: &["CONTAINER"],
    spellings: &["container diff", "diff"],
    flags: &[],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &[],
    run,
};

const COLUMNS: &[Column<Json>] = &[
    column("Type", "CHANGE TYPE", |change| {
        match change.get("Kind").and_then(Json::as_i64) {
            Some(0) => "C",
            Some(1) => "A",
            _ => "D",
        }
        .into()
    }),
    column("Path", "PATH", |change| {
        Value::from(change.get("Path").and_then(Json::as_str).unwrap_or_default())
    }),
];

static LISTING: Listing<Json> = Listing {
    type_name: "*container.diffContext",
    columns: COLUMNS,
    table: "{{.Type}} {{.Path}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    if matches.arg(0).is_empty() {
        return Err(Failure::text("Container name cannot be empty"));
    }
    let path = format!("/containers/{}/changes", path_escape(matches.arg(0)));
    let changes: Option<Vec<Json>> = session.client()?.get(&path, &Query::new())?;
    LISTING.print("{{.Type}} {{.Path}}", changes.unwrap_or_default())
}
