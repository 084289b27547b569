//! `load`: images from an archive that `save` made.

use api_client::{Body, FileBody, Query};

use super::push::platform;
use crate::command::Kind::{Strings, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::progress;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("input", 'i', Text, "", "Read from a file in place of stdin"),
    long("platform", Strings, "Load only these platforms"),
    switch("quiet", 'q', "Do not tell progress"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Load an image from a tar archive or STDIN",
    usage: &["[OPTIONS]"],
    spellings: &["image load", "load"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["load -i images.tar"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.require(matches, "platform", "1.48")?;
    let source = match matches.text("input") {
        "" if terminal::is_terminal(std::io::stdin()) => {
            return Err(Failure::text("requested load from stdin, but stdin is empty"));
        }
        "" => Body::Stream(Box::new(std::io::stdin())),
        path => body(std::fs::File::open(path).map_err(|error| file_failure("open", path, &error))?)?,
    };
    let quiet = matches.on("quiet") || !terminal::is_terminal(std::io::stdout());
    let mut query = Query::new().set("quiet", if quiet { "1" } else { "0" });
    for text in matches.list("platform") {
        query = query.set("platform", platform(text)?);
    }
    let headers = [("Content-Type", "application/x-tar")];
    let answer = session.client()?.send("POST", "/images/load", &query, &headers, source)?;
    progress::show(answer.body, false, false, |_| {})
}

/// A file of a known length goes as it is; a pipe or device has none.
fn body(file: std::fs::File) -> std::io::Result<Body> {
    if file.metadata()?.is_file() {
        return FileBody::whole(file).map(Body::FileAlong);
    }
    Ok(Body::Stream(Box::new(file)))
}
