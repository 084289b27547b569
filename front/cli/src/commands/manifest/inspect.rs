//! `manifest inspect`: shows a manifest or a list, one that is put together here or a registry's.

use super::remote::{Found, Remote};
use super::store::Store;
use super::{INSECURE, parse, view};
use crate::command::{Arity, Command, Flag, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] =
    &[INSECURE, switch("verbose", 'v', "Show also where it came from, its bytes and platform")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Display an image manifest, or manifest list",
    usage: &["[OPTIONS] [MANIFEST_LIST] MANIFEST"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Range(1, 2),
    interspersed: true,
    examples: &["manifest inspect localhost:5000/hello:1"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let verbose = matches.on("verbose");
    let store = Store::new(session);
    let name = parse(matches.args.last().map_or("", String::as_str))?;
    if matches.args.len() == 2 {
        let list = parse(matches.arg(0))?;
        let entry = store.get(&list, &name)?;
        let entry = entry.ok_or_else(|| Failure::text(format!("No such manifest: {}", name.canonical())))?;
        view::print_one(&entry, verbose);
        return Ok(());
    }
    if let Some(entries) = store.list(&name)? {
        return view::print_list(&name, &entries, verbose);
    }
    match Remote::new(session, matches.on("insecure")).find(&name)? {
        Found::One(entry) => view::print_one(&entry, verbose),
        Found::List(entries) => view::print_list(&name, &entries, verbose)?,
    }
    Ok(())
}
