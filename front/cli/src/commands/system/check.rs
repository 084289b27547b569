//! `system check`: whether everything the engine keeps is whole.

use api_client::Query;
use serde_json::Value as Json;

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("format", Text, "How to print each problem: 'json', or a Go template"),
    switch("no-trunc", '\0', "Do not cut digests"),
    switch("quiet", 'q', "Print problems only"),
    switch("repair", '\0', "Mend what can be mended"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Verify every blob, layer and record, and repair what can be",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["system check --repair"],
    run,
};

/// A problem as the engine tells it.
#[derive(Default)]
struct Row {
    kind: String,
    object: String,
    images: String,
    problem: String,
    state: String,
}

const COLUMNS: &[Column<Row>] = &[
    column("Kind", "KIND", |row| row.kind.clone().into()),
    column("Object", "OBJECT", |row| row.object.clone().into()),
    column("Images", "IMAGES", |row| row.images.clone().into()),
    column("Problem", "PROBLEM", |row| row.problem.clone().into()),
    column("State", "STATE", |row| row.state.clone().into()),
];

static LISTING: Listing<Row> = Listing {
    type_name: "*formatter.checkContext",
    columns: COLUMNS,
    table: "table {{.Kind}}\t{{.Object}}\t{{.Images}}\t{{.Problem}}\t{{.State}}",
    raw: "",
    label: None,
};

/// The exit code is 0 when all is in order, also when that was a matter of repairing.
fn run(session: &Session, matches: &Matches) -> Outcome {
    let query = Query::new().flag("repair", matches.on("repair"));
    let document: Json = session.client()?.ask("POST", "/wharf/system/check", &query)?;
    let problems: Vec<&Json> =
        document.get("Problems").and_then(Json::as_array).into_iter().flatten().collect();
    let mended = |problem: &&Json| problem.get("Repaired").and_then(Json::as_bool).unwrap_or(false);
    let open = problems.iter().filter(|problem| !mended(problem)).count();
    if !problems.is_empty() {
        let rows = problems.iter().map(|problem| row(problem, matches.on("no-trunc"))).collect();
        LISTING.print(matches.text("format"), rows)?;
    }
    if !matches.on("quiet") && matches.text("format").is_empty() {
        println!("{}", summary(&document, problems.len(), open));
    }
    if open == 0 { Ok(()) } else { Err(Failure::Status(1)) }
}

fn summary(document: &Json, problems: usize, open: usize) -> String {
    let number = |name: &str| document.get(name).and_then(Json::as_f64).unwrap_or(0.0);
    let looked = format!(
        "Checked {} images, {} blobs ({}), {} layers: ",
        number("Images"),
        number("Blobs"),
        human::size3(number("Bytes")),
        number("Layers")
    );
    let found = match (problems, open) {
        (0, _) => "all in order".to_owned(),
        (1, 1) => "1 problem".to_owned(),
        (all, 0) => format!("{all} repaired"),
        (all, open) if all == open => format!("{all} problems"),
        (all, open) => format!("{} repaired, {open} left", all - open),
    };
    looked + &found
}

fn row(problem: &Json, whole: bool) -> Row {
    let text = |name: &str| problem.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let images = problem.get("Images").and_then(Json::as_array).into_iter().flatten();
    let images: Vec<&str> = images.filter_map(Json::as_str).collect();
    let object = text("Object");
    let repaired = problem.get("Repaired").and_then(Json::as_bool).unwrap_or(false);
    Row {
        kind: text("Kind"),
        object: if whole { object } else { human::short_id(&object).to_owned() },
        images: images.join(", "),
        problem: text("Problem"),
        state: if repaired { "repaired".to_owned() } else { text("Advice") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_left() {
        let document = serde_json::json!({"Images": 2, "Blobs": 6, "Bytes": 2_500_000, "Layers": 3});
        let looked = "Checked 2 images, 6 blobs (2.5MB), 3 layers: ";
        for (problems, open, text) in [
            (0, 0, "all in order"),
            (1, 1, "1 problem"),
            (2, 2, "2 problems"),
            (2, 0, "2 repaired"),
            (3, 1, "2 repaired, 1 left"),
        ] {
            assert_eq!(summary(&document, problems, open), format!("{looked}{text}"));
        }
    }
}
