//! `builder mount`: cache mounts leave and come as archives. Only wharf's engine has this.

use std::io::Read;

use api_client::{Body, Client, ClientError, Query};

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, flag};
use crate::commands::container::export::{check_output, refuse_terminal, save};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

const PATH: &str = "/build/mounts/archive";

const FLAGS: &[Flag] = &[flag("output", 'o', Text, "", "Write to a file in place of stdout")];

/// `builder mount export`.
pub const EXPORT: Command = Command {
    about: "Save what a cache mount holds as a tar archive",
    usage: &["[OPTIONS] ID"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["builder mount export -o cargo.tar /usr/local/cargo/registry"],
    run: export,
};

/// `builder mount import`.
pub const IMPORT: Command = Command {
    about: "Make a tar archive what a cache mount holds",
    usage: &["ID file|-"],
    spellings: &[],
    flags: &[],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &["builder mount import /usr/local/cargo/registry cargo.tar"],
    run: import,
};

fn export(session: &Session, matches: &Matches) -> Outcome {
    const COMPLAINT: &str = "failed to export the cache mount";
    let output = matches.text("output");
    refuse_terminal(output)?;
    check_output(output, COMPLAINT)?;
    let client = known(session)?;
    let mut answer = client.stream(PATH, &Query::new().set("id", matches.arg(0)))?;
    save(&mut answer.body, output, COMPLAINT)
}

fn import(session: &Session, matches: &Matches) -> Outcome {
    let body: Box<dyn Read + Send> = match matches.arg(1) {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(|error| file_failure("open", path, &error))?),
    };
    let query = Query::new().set("id", matches.arg(0));
    let headers = [("Content-Type", "application/x-tar")];
    let sent: Result<_, ClientError> =
        known(session)?.send("PUT", PATH, &query, &headers, Body::Stream(body));
    Ok(sent.map(drop)?)
}

/// The engine, if it is one that has this.
fn known(session: &Session) -> Result<&Client, Failure> {
    let client = session.client()?;
    if client.ping()?.is_wharf {
        return Ok(client);
    }
    Err(Failure::text("cache mounts leave and come only with wharf's own engine, and this is another one"))
}
