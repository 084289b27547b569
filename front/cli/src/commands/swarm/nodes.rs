//! `node ls`.

use api_client::Query;
use serde_json::Value as Json;

use crate::command::Kind::Filter;
use crate::command::{Arity, Command, FORMAT, Flag, flag, switch};
use crate::failure::Outcome;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] =
    &[flag("filter", 'f', Filter, "", "Show only what fits"), FORMAT, switch("quiet", 'q', "Show only ids")];

/// The command.
pub const COMMAND: Command = Command {
    about: "List nodes in the swarm",
    usage: &["[OPTIONS]"],
    spellings: &["node ls", "node list"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

fn text(item: &Json, pointer: &str) -> String {
    item.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
}

const COLUMNS: &[Column<Json>] = &[
    column("ID", "ID", |node| text(node, "/ID").into()),
    column("Hostname", "HOSTNAME", |node| text(node, "/Description/Hostname").into()),
    column("Status", "STATUS", |node| title(&text(node, "/Status/State")).into()),
    column("Availability", "AVAILABILITY", |node| title(&text(node, "/Spec/Availability")).into()),
    column("ManagerStatus", "MANAGER STATUS", |node| match node.pointer("/ManagerStatus/Leader") {
        Some(Json::Bool(true)) => "Leader".into(),
        _ => title(&text(node, "/ManagerStatus/Reachability")).into(),
    }),
    column("EngineVersion", "ENGINE VERSION", |node| text(node, "/Description/Engine/EngineVersion").into()),
];

fn title(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

static LISTING: Listing<Json> = Listing {
    type_name: "*node.nodeContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let list: Vec<Json> = session.client()?.get("/nodes", &Query::new().filters(&matches.filters()))?;
    let format = if matches.on("quiet") { "{{.ID}}" } else { matches.text("format") };
    LISTING.print(format, list)
}
