//! `network disconnect`.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::json;

use crate::command::{Arity, Command, Flag, switch};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("force", 'f', "Disconnect even what can't be reached")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Disconnect a container from a network",
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let body = json!({"Container": matches.arg(1), "Force": matches.on("force")});
    let path = format!("/networks/{}/disconnect", path_escape(matches.arg(0)));
    Ok(session.client()?.post_only(&path, &Query::new(), &body)?)
}
