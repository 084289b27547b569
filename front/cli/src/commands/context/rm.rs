//! `context rm`.

use crate::command::{Arity, Command, Flag, switch};
use crate::commands::each::each;
use crate::context_store::DEFAULT;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[switch("force", 'f', "Remove the one in use too")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Remove one or more contexts",
    usage: &["CONTEXT [CONTEXT...]"],
    spellings: &["context rm", "context remove"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let store = session.contexts();
    let current = session.context_name();
    let force = matches.on("force");
    each(&matches.args, |name| {
        if name == DEFAULT {
            return Err(Failure::text("context \"default\" cannot be removed"));
        }
        if let Err(failure) = store.find(name) {
            drop(failure);
            let text = format!("context {} does not exist", crate::value::quoted(name));
            return if force { Ok(()) } else { Err(Failure::text(text)) };
        }
        if name == current {
            if !force {
                let text =
                    format!("context {} is in use, set -f flag to force remove", crate::value::quoted(name));
                return Err(Failure::text(text));
            }
            session.config().store("currentContext", None)?;
        }
        store.remove(name)
    })
}
