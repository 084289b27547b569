//! `run`: create, attach, wait, start, in this order, then copy the streams until the process ends.

use std::io::Read;
use std::sync::Arc;

use api_client::{Body, Client, Query, Response, Upgraded};
use serde_json::{Value as Json, json};

use super::create::told;
use super::options::Created;
use super::streams::{Attachment, Ended, Signals, resize};
use super::{create, detach, options};
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("detach", 'd', "Leave it in the background and print its id"),
    long("detach-keys", Text, "Keys that detach, ctrl-p,ctrl-q if not said"),
    flag("sig-proxy", '\0', Switch, "true", "Pass signals we get on to the process"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Create and run a new container from an image",
    usage: &["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
    spellings: &["container run", "run"],
    flags: &[options::LIMITS, options::FLAGS, FLAGS],
    arity: Arity::Min(1),
    interspersed: false,
    examples: &["run -it --rm debian bash", "run -d --name web -p 8080:80 nginx"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    run_inner(session, matches).map_err(|failure| match failure {
        Failure::Status(_) => failure,
        // Nobody reads any more: `docker run ... | head`.
        failure if failure.is_broken_pipe() => failure,
        Failure::Text { code: 1, ref text } if text == NO_TERMINAL || text == BOTH => failure,
        Failure::Text { code: 125, text } if text.starts_with("invalid pull option") => {
            told(session, matches, &text, 125)
        }
        Failure::Text { code, ref text } if code > 1 => told(session, matches, text, code),
        other => told(session, matches, &other.message(), 125),
    })
}

const BOTH: &str = "conflicting options: cannot specify both --attach and --detach";
const NO_TERMINAL: &str = "the input device is not a TTY";

fn run_inner(session: &Session, matches: &Matches) -> Outcome {
    create::check_pull(matches)?;
    let detached = matches.on("detach");
    if detached && matches.given("attach") {
        return Err(Failure::text(BOTH));
    }
    let mut created = options::build(session, matches, detached)?;
    if created.tty && created.attach_stdin && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::text(NO_TERMINAL));
    }
    if created.tty
        && let Some(size) = terminal::size(std::io::stdout())
        && let Some(slot) = created.body.pointer_mut("/HostConfig/ConsoleSize")
    {
        *slot = json!([size.height, size.width]);
    }
    let keys = detach_keys(session, matches)?;
    let body = std::mem::take(&mut created.body);
    let id = create::create(session, matches, body, &created.image).map_err(|failure| {
        let text = failure.message();
        Failure::Text { code: code_of(&text), text }
    })?;
    let container = format!("/containers/{id}");
    if detached {
        start(session.client()?, &container)?;
        println!("{id}");
        return Ok(());
    }
    follow(session.client()?, matches, &created, &id, keys)
}

/// Attaches, waits and starts, in this order, and ends as the process does.
fn follow(client: &Arc<Client>, matches: &Matches, created: &Created, id: &str, keys: Vec<u8>) -> Outcome {
    let container = format!("/containers/{id}");
    let signals = Signals::take_over();
    let attached = attach(client, matches, created, &container)?;
    let waiting = wait_for_exit(client, &container, created.auto_remove)?;
    if let Err(failure) = start(client, &container) {
        // The engine removes it; until then its name is taken.
        if created.auto_remove {
            drop(exit_code(waiting));
        }
        return Err(failure);
    }
    if created.tty {
        resize(client, &container);
    }
    let Some(upgraded) = attached else {
        println!("{id}");
        return Ok(());
    };
    let attachment = Attachment {
        upgraded,
        tty: created.tty,
        stdin: created.attach_stdin,
        stdout: created.attach_stdout,
        stderr: created.attach_stderr,
        detach_keys: keys,
        resize_path: Some(container.clone()),
        signal_path: matches.on("sig-proxy").then_some(container),
    };
    if attachment.run(client, signals)? == Ended::Detached {
        return Ok(());
    }
    match exit_code(waiting)? {
        0 => Ok(()),
        code => Err(Failure::Status(code)),
    }
}

/// The connection that carries the streams, when any is attached.
fn attach(
    client: &Client,
    matches: &Matches,
    created: &Created,
    container: &str,
) -> Result<Option<Upgraded>, Failure> {
    if !created.attach_stdin && !created.attach_stdout && !created.attach_stderr {
        return Ok(None);
    }
    let query = Query::new()
        .flag("stream", true)
        .flag("stdin", created.attach_stdin)
        .flag("stdout", created.attach_stdout)
        .flag("stderr", created.attach_stderr)
        .text("detachKeys", matches.text("detach-keys"));
    Ok(Some(client.upgrade(&format!("{container}/attach"), &query, None)?))
}

/// The keys of the flag or the configuration.
pub fn detach_keys(session: &Session, matches: &Matches) -> Result<Vec<u8>, Failure> {
    let text = match (matches.text("detach-keys"), session.config().text("detachKeys")) {
        ("", "") => detach::DEFAULT,
        ("", configured) => configured,
        (given, _) => given,
    };
    detach::parse(text).map_err(|reason| Failure::text(format!("invalid detach keys ({text}): {reason}")))
}

fn start(client: &Client, container: &str) -> Outcome {
    client.call("POST", &format!("{container}/start"), &Query::new()).map_err(|error| {
        let text = error.to_string();
        Failure::Text { code: code_of(&text), text }
    })
}

/// The exit code that a failed start means, by its text.
pub fn code_of(text: &str) -> u8 {
    let has = |part: &str| text.contains(part);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        125
    }
}

/// Registers a wait: its head has come when this returns, its body comes with the exit.
pub fn wait_for_exit(client: &Arc<Client>, container: &str, removed: bool) -> Result<Response, Failure> {
    let condition = if removed { "removed" } else { "next-exit" };
    let query = Query::new().set("condition", condition);
    Ok(client.send("POST", &format!("{container}/wait"), &query, &[], Body::Empty)?)
}

/// The exit code in the body of a wait.
pub fn exit_code(mut waiting: Response) -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    waiting
        .body
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::text(format!("error waiting for container: {error}")))?;
    let document: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::text(format!("error waiting for container: {error}")))?;
    if let Some(message) =
        document.pointer("/Error/Message").and_then(Json::as_str).filter(|text| !text.is_empty())
    {
        eprintln!("Error waiting for container: {message}");
        return Ok(125);
    }
    let code = document.get("StatusCode").and_then(Json::as_i64).unwrap_or(0);
    Ok(u8::try_from(code & 0xff).unwrap_or(255))
}
