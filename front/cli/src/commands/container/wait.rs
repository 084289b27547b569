//! `wait`: waits for containers to stop and prints their exit codes.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::Value as Json;

use crate::command::{Arity, Command};
use crate::commands::each::each_quietly;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Block until one or more containers stop, then print their exit codes",
    usage: &["CONTAINER [CONTAINER...]"],
    spellings: &["container wait", "wait"],
    flags: &[],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    each_quietly(&matches.args, |name| {
        let answer: Json =
            client.ask("POST", &format!("/containers/{}/wait", path_escape(name)), &Query::new())?;
        if let Some(message) =
            answer.pointer("/Error/Message").and_then(Json::as_str).filter(|text| !text.is_empty())
        {
            return Err(Failure::text(message));
        }
        println!("{}", answer.get("StatusCode").and_then(Json::as_i64).unwrap_or(0));
        Ok(())
    })
}
