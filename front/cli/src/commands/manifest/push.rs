//! `manifest push`: writes a list, and what it names, to the registry.

use registry_client::Access;

use super::remote::{self, Remote};
use super::store::Store;
use super::{INSECURE, parse, view};
use crate::command::{Arity, Command, Flag, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[INSECURE, switch("purge", 'p', "Forget the list here when it is pushed")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Push a manifest list to a repository",
    usage: &["[OPTIONS] MANIFEST_LIST"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["manifest push --purge localhost:5000/hello:1"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let target = parse(matches.arg(0))?;
    let store = Store::new(session);
    let entries = store.list(&target)?.filter(|entries| !entries.is_empty());
    let entries =
        entries.ok_or_else(|| Failure::text(format!("No such manifest: {}", target.canonical())))?;
    for entry in &entries {
        let platform = entry.descriptor.platform.as_ref();
        if platform.is_none_or(|platform| platform.os.is_empty() || platform.architecture.is_empty()) {
            return Err(Failure::text(format!(
                "manifest {} must have an OS and Architecture to be pushed to a registry",
                entry.name
            )));
        }
    }
    let (text, media_type) = view::list_document(&target, &entries)?;
    let repository = Remote::new(session, matches.on("insecure")).repository(&target, Access::Push)?;
    for entry in &entries {
        remote::push_manifest(&repository, &target, entry)?;
    }
    println!("{}", remote::push_list(&repository, &target, &text, media_type)?);
    if matches.on("purge") {
        store.remove(&target)?;
    }
    Ok(())
}
