//! `logs`: what a container has said.

use api_client::Query;
use api_client::query::path_escape;
use api_client::stdio::demultiplex;
use serde_json::Value as Json;

use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::commands::system::events::time_parameter;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("details", Switch, "Show what the log driver was told to add"),
    switch("follow", 'f', "Go on as more is said"),
    long(
        "since",
        Text,
        "Only what is newer than a time or a duration before now (2026-01-02T13:23:37Z, 42m)",
    ),
    flag("tail", 'n', Text, "all", "Number of lines from the end"),
    switch("timestamps", 't', "Show the time of each line"),
    long("until", Text, "Only what is older than a time or a duration before now"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Fetch the logs of a container",
    usage: &["[OPTIONS] CONTAINER"],
    spellings: &["container logs", "logs"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["logs -f --tail 10 web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let path = format!("/containers/{}", path_escape(matches.arg(0)));
    let document: Json = client.get(&format!("{path}/json"), &Query::new())?;
    let time = |flag: &str| {
        time_parameter(matches.text(flag))
            .map_err(|reason| Failure::text(format!("invalid value for \"{flag}\": {reason}")))
    };
    let query = Query::new()
        .flag("follow", matches.on("follow"))
        .flag("stdout", true)
        .flag("stderr", true)
        .text("since", &time("since")?)
        .text("until", &time("until")?)
        .flag("timestamps", matches.on("timestamps"))
        .flag("details", matches.on("details"))
        .text("tail", matches.text("tail"));
    let mut answer = client.stream(&format!("{path}/logs"), &query)?;
    let tty = document.pointer("/Config/Tty").and_then(Json::as_bool).unwrap_or(false);
    let mut out = std::io::stdout().lock();
    if tty {
        std::io::copy(&mut answer.body, &mut out)?;
        return Ok(());
    }
    match demultiplex(&mut answer.body, &mut out, &mut std::io::stderr().lock()) {
        Ok(()) => Ok(()),
        Err(api_client::stdio::StdioError::Connection(error)) => Err(Failure::Local(error)),
        Err(error) => Err(Failure::text(error.to_string())),
    }
}
