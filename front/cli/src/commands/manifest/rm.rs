//! `manifest rm`: forgets lists that were put together here.

use super::parse;
use super::store::Store;
use crate::command::{Arity, Command};
use crate::commands::each::each_quietly;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Delete one or more manifest lists from local storage",
    usage: &["MANIFEST_LIST [MANIFEST_LIST...]"],
    spellings: &[],
    flags: &[],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let store = Store::new(session);
    each_quietly(&matches.args, |name| {
        let list = parse(name)?;
        if store.remove(&list)? {
            Ok(())
        } else {
            Err(Failure::text(format!("No such manifest: {}", list.canonical())))
        }
    })
}
