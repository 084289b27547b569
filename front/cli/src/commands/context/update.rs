//! `context update`.

use super::create::{apply, check_name};
use crate::command::Kind::{Strings, Text};
use crate::command::{Arity, Command, Flag, long};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("description", Text, "Words about it"),
    long(
        "docker",
        Strings,
        "Where the engine is, as host=ADDRESS,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL",
    ),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Update a context",
    usage: &["[OPTIONS] CONTEXT"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["context update far --description 'the machine in the cellar'"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    check_name(name)?;
    let store = session.contexts();
    let mut context = store.find(name)?;
    if matches.given("description") {
        matches.text("description").clone_into(&mut context.description);
    }
    let certificates = if matches.given("docker") {
        let fresh = apply(session, &mut context, matches.list("docker"))?;
        store.remove_certificates(name)?;
        fresh
    } else {
        Vec::new()
    };
    store.save(&context, &certificates)?;
    println!("{name}");
    eprintln!("Successfully updated context {}", crate::value::quoted(name));
    Ok(())
}
