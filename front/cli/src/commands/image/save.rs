//! `save`: images as an archive.

use api_client::Query;

use super::push::platform;
use crate::command::Kind::{Strings, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::commands::container::export::{check_output, refuse_terminal, save};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("output", 'o', Text, "", "Write to a file in place of stdout"),
    long("platform", Strings, "Save only these platforms"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    usage: &["[OPTIONS] IMAGE [IMAGE...]"],
    spellings: &["image save", "save"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["save -o images.tar debian busybox"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    session.require(matches, "platform", "1.48")?;
    let output = matches.text("output");
    refuse_terminal(output)?;
    check_output(output, "failed to save image")?;
    let mut query = Query::new();
    for name in &matches.args {
        query = query.set("names", name);
    }
    for text in matches.list("platform") {
        query = query.set("platform", platform(text)?);
    }
    let mut answer = session.client()?.stream("/images/get", &query)?;
    save(&mut answer.body, output, "failed to save image")
}
