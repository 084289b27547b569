//! `manifest create`: puts a list together from manifests of a registry.

use super::remote::Remote;
use super::store::Store;
use super::{INSECURE, parse};
use crate::command::{Arity, Command, Flag, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("amend", 'a', "Add to a list that is there already"), INSECURE];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a local manifest list for annotating and pushing to a registry",
    usage: &["MANIFEST_LIST MANIFEST [MANIFEST...]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Min(2),
    interspersed: true,
    examples: &[
        "manifest create localhost:5000/hello:1 localhost:5000/hello:amd64 localhost:5000/hello:arm64",
    ],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (list, names) = matches.args.split_first().ok_or_else(|| Failure::text("no manifest list"))?;
    let target = parse(list).map_err(|failure| {
        Failure::text(format!("error parsing name for manifest list {list}: {}", failure.message()))
    })?;
    let store = Store::new(session);
    if store.list(&target)?.is_some() && !matches.on("amend") {
        return Err(Failure::text("refusing to amend an existing manifest list with no --amend flag"));
    }
    let remote = Remote::new(session, matches.on("insecure"));
    // All are looked up before the first is kept, so that a name that does not exist leaves no half of a list.
    let mut found = Vec::new();
    for name in names {
        let name = parse(name)?;
        let entry = match store.get(&target, &name)? {
            Some(entry) => entry,
            None => remote.one(&name)?,
        };
        found.push((name, entry));
    }
    for (name, entry) in found {
        store.save(&target, &name, &entry)?;
    }
    println!("Created manifest list {}", target.canonical());
    Ok(())
}
