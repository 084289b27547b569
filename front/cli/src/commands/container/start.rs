//! `start`: starts containers, and attaches to one of them when asked to.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::Value as Json;

use super::run;
use super::streams::{Attachment, Ended, Signals, resize};
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("attach", 'a', "Show its output and pass signals on"),
    switch("interactive", 'i', "Send our input to it"),
    long("checkpoint", Text, ""),
    long("checkpoint-dir", Text, ""),
    long("detach-keys", Text, "Keys that detach, ctrl-p,ctrl-q if not said"),
    flag("sig-proxy", '\0', Switch, "true", ""),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Start one or more stopped containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container start", "start"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["start web", "start -ai shell"],
    run: start,
};

fn start(session: &Session, matches: &Matches) -> Outcome {
    if matches.on("attach") || matches.on("interactive") {
        return start_attached(session, matches);
    }
    let client = session.client()?;
    let mut failed = Vec::new();
    for name in &matches.args {
        match client.call("POST", &format!("/containers/{}/start", path_escape(name)), &Query::new()) {
            Ok(()) => println!("{name}"),
            Err(error) => {
                eprintln!("{error}");
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::text(format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn start_attached(session: &Session, matches: &Matches) -> Outcome {
    if matches.args.len() > 1 {
        return Err(Failure::text("you cannot start and attach multiple containers at once"));
    }
    let client = session.client()?;
    let name = path_escape(matches.arg(0));
    let document: Json = client.get(&format!("/containers/{name}/json"), &Query::new())?;
    let id = document.get("Id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let flag = |pointer: &str| document.pointer(pointer).and_then(Json::as_bool).unwrap_or(false);
    let (tty, open_stdin) = (flag("/Config/Tty"), flag("/Config/OpenStdin"));
    let stdin = matches.on("interactive") && open_stdin;
    if tty && stdin && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::text("the input device is not a TTY"));
    }
    let keys = run::detach_keys(session, matches)?;
    let container = format!("/containers/{id}");
    let signals = Signals::take_over();
    let query = Query::new()
        .flag("stream", true)
        .flag("stdin", stdin)
        .flag("stdout", true)
        .flag("stderr", true)
        .text("detachKeys", matches.text("detach-keys"));
    let upgraded = client.upgrade(&format!("{container}/attach"), &query, None)?;
    let waiting = run::wait_for_exit(client, &container, flag("/HostConfig/AutoRemove"))?;
    client.call("POST", &format!("{container}/start"), &Query::new())?;
    if tty {
        resize(client, &container);
    }
    let attachment = Attachment {
        upgraded,
        tty,
        stdin,
        stdout: true,
        stderr: true,
        detach_keys: keys,
        resize_path: Some(container.clone()),
        signal_path: matches.on("sig-proxy").then_some(container),
    };
    if attachment.run(client, signals)? == Ended::Detached {
        return Ok(());
    }
    match run::exit_code(waiting)? {
        0 => Ok(()),
        code => Err(Failure::Status(code)),
    }
}
