//! `top`: the processes of a container.

use api_client::Query;
use api_client::query::path_escape;
use serde::Deserialize;

use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Display the running processes of a container",
    usage: &["CONTAINER [ps OPTIONS]"],
    spellings: &["container top", "top"],
    flags: &[],
    arity: Arity::Min(1),
    interspersed: false,
    examples: &["top web -o pid,cmd"],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    titles: Option<Vec<String>>,
    processes: Option<Vec<Vec<String>>>,
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let options = matches.args.get(1..).unwrap_or_default().join(" ");
    let query = Query::new().text("ps_args", &options);
    let answer: Answer =
        session.client()?.get(&format!("/containers/{}/top", path_escape(matches.arg(0))), &query)?;
    let mut text = answer.titles.unwrap_or_default().join("\t");
    text.push('\n');
    for process in answer.processes.unwrap_or_default() {
        text.push_str(&process.join("\t"));
        text.push('\n');
    }
    print!("{}", terminal::Table::TOP.layout(&text));
    Ok(())
}
