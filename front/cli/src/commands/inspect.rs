//! `inspect`: anything by name or id.

use api_client::query::path_escape;
use api_client::{Client, Query};
use serde_json::Value as Json;

use crate::command::Kind::Text;
use crate::command::{Arity, Command, FORMAT_INSPECT, Flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::inspect;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    FORMAT_INSPECT,
    switch("size", 's', "Show how much a container has written"),
    long("type", Text, "Look only for this: container, image, network, volume, ..."),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Return low-level information on Docker objects",
    usage: &["[OPTIONS] NAME|ID [NAME|ID...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["inspect -f '{{.NetworkSettings.IPAddress}}' web", "inspect --type image debian"],
    run,
};

const KNOWN: &str = "must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"";

/// Kinds in the order they are tried, and where they are.
const KINDS: [(&str, &str, &str); 9] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
    ("service", "/services/", ""),
    ("task", "/tasks/", ""),
    ("node", "/nodes/", ""),
    ("plugin", "/plugins/", "/json"),
    ("secret", "/secrets/", ""),
];

fn run(session: &Session, matches: &Matches) -> Outcome {
    let wanted = matches.text("type");
    if !wanted.is_empty() && !KINDS.iter().any(|(kind, ..)| *kind == wanted) {
        return Err(Failure::text(format!("unknown type: {}: {KNOWN}", crate::value::quoted(wanted))));
    }
    if matches.given("type") && wanted.is_empty() {
        return Err(Failure::text(format!("type is empty: {KNOWN}")));
    }
    let client = session.client()?;
    inspect::each(matches.text("format"), &matches.args, |name| {
        find(client, wanted, name, matches.on("size"))
    })
}

fn find(client: &Client, wanted: &str, name: &str, size: bool) -> Result<Json, Failure> {
    for (kind, before, after) in KINDS {
        if !wanted.is_empty() && kind != wanted {
            continue;
        }
        let sized = size && kind == "container";
        let query = Query::new().flag("size", sized);
        // A container's name is also known with its slash, which would not survive in a path.
        let known = if kind == "container" { name.strip_prefix('/').unwrap_or(name) } else { name };
        match client.get::<Json>(&format!("{before}{}{after}", path_escape(known)), &query) {
            Ok(document) => return Ok(document),
            Err(error) if !wanted.is_empty() => return Err(error.into()),
            Err(error) if error.is_not_found() || is_elsewhere(&error.to_string(), kind) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::text(format!("Error: No such object: {name}")))
}

/// Refusals that only say that this kind of thing can't be asked for here.
fn is_elsewhere(text: &str, kind: &str) -> bool {
    matches!(kind, "service" | "task" | "node" | "secret" | "plugin")
        || text.contains("This node is not a swarm manager")
        || (kind == "image" && text.contains("invalid reference format"))
        || (kind == "volume" && text.contains("volume name"))
}
