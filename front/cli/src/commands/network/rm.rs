//! `network rm`.

use api_client::Query;
use api_client::query::path_escape;

use crate::command::{Arity, Command, Flag, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("force", 'f', "No failure when it is not there")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove one or more networks",
    usage: &["NETWORK [NETWORK...]"],
    spellings: &["network rm", "network remove"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["network rm back"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let mut failed = false;
    for name in &matches.args {
        match client.call("DELETE", &format!("/networks/{}", path_escape(name)), &Query::new()) {
            Ok(()) => println!("{name}"),
            Err(error) if matches.on("force") && error.is_not_found() => {}
            Err(error) => {
                eprintln!("{error}");
                failed = true;
            }
        }
    }
    // Docker prints the status as text after the failures.
    if failed { Err(Failure::text("exit status 1")) } else { Ok(()) }
}
