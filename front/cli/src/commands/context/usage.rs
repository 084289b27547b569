//! `context use`: makes one the one in use.

use serde_json::json;

use crate::command::{Arity, Command};
use crate::context_store::DEFAULT;
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Set the current docker context",
    usage: &["CONTEXT"],
    spellings: &[],
    flags: &[],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["context use far"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    let value = if name == DEFAULT {
        None
    } else {
        session.contexts().find(name)?;
        Some(json!(name))
    };
    session.config().store("currentContext", value)?;
    println!("{name}");
    eprintln!("Current context is now {}", crate::value::quoted(name));
    if name != DEFAULT && session.environment.own("HOST").is_some() {
        eprintln!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use {}, either set the global --context flag, or unset DOCKER_HOST environment variable.",
            crate::value::quoted(name)
        );
    }
    Ok(())
}
