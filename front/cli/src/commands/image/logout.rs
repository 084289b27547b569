//! `logout`: forgets credentials of a registry.

use crate::command::{Arity, Command};
use crate::credentials;
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Log out from a registry",
    usage: &["[SERVER]"],
    spellings: &[],
    flags: &[],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["logout registry.example.com"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let server = match matches.arg(0) {
        "" | "docker.io" | "index.docker.io" => credentials::HUB,
        server => server,
    };
    let host = if server == credentials::HUB { server } else { credentials::host_of(server) };
    println!("Removing login credentials for {host}");
    let mut keys = vec![server.to_owned()];
    if host != credentials::HUB {
        // Older clients kept a registry under its address.
        keys.extend([host.to_owned(), format!("http://{host}"), format!("https://{host}")]);
        keys.dedup();
    }
    let faults = credentials::erase(session, &keys);
    // Who logs out has to know when a password is still kept.
    if !faults.is_empty() {
        eprintln!("WARNING: could not erase credentials:");
        for (key, reason) in faults {
            eprintln!("{key}: {reason}");
        }
    }
    Ok(())
}
