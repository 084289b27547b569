//! `volume create`.

use api_client::Query;
use serde_json::{Map, Value as Json, json};

use crate::command::Kind::{Checked, List, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

fn pair(text: &str) -> Result<(), String> {
    if text.starts_with('=') { Err(format!("invalid label '{text}': empty name")) } else { Ok(()) }
}

const FLAGS: &[Flag] = &[
    flag("driver", 'd', Text, "local", "Driver that keeps it"),
    long("label", Checked("list", pair), "Attach metadata, as KEY=VALUE"),
    long("name", Text, ""),
    flag("opt", 'o', List, "", "Option of the driver, as NAME=VALUE"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a volume",
    usage: &["[OPTIONS] [VOLUME]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["volume create data", "volume create -o type=tmpfs -o device=tmpfs fast"],
    run,
};

/// `KEY=VALUE` texts as an object.
pub fn pairs(list: &[String]) -> Map<String, Json> {
    list.iter()
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), json!(value))
        })
        .collect()
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = match (matches.arg(0), matches.text("name")) {
        (given, "") => given,
        ("", flag) => flag,
        _ => {
            return Err(Failure::text(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
    };
    let mut body = json!({"Name": name, "Driver": matches.text("driver")});
    if let Some(fields) = body.as_object_mut() {
        for (flag, field) in [("opt", "DriverOpts"), ("label", "Labels")] {
            if matches.given(flag) {
                fields.insert(field.to_owned(), Json::Object(pairs(matches.list(flag))));
            }
        }
    }
    let answer: Json = session.client()?.post("/volumes/create", &Query::new(), &body)?;
    println!("{}", answer.get("Name").and_then(Json::as_str).unwrap_or_default());
    Ok(())
}
