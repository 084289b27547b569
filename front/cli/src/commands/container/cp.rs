//! placeholder
use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;
/// The command.
pub const COMMAND: Command = Command {
    about: "Copy files/folders between a container and the local filesystem",
    usage: &["[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", "cp"],
    spellings: &[],
    flags: &[],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &[],
    run,
};
fn run(_: &Session, _: &Matches) -> Outcome {
    Ok(())
}
