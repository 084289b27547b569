//! `system dial-stdio`: our input and output become the connection to the engine, for ssh.

use std::io::{Read, Write};

use crate::command::{Arity, Command};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    usage: &[""],
    spellings: &[],
    flags: &[],
    arity: Arity::None,
    interspersed: true,
    examples: &[],
    run,
};

fn run(session: &Session, _matches: &Matches) -> Outcome {
    let socket = session.client()?.dial()?;
    let towards = socket.clone();
    std::thread::spawn(move || {
        let _ = copy(&mut std::io::stdin(), &mut &towards);
        let _ = towards.close_write();
    });
    copy(&mut &socket, &mut std::io::stdout())?;
    Ok(())
}

/// Copies piece by piece without holding anything back.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}
