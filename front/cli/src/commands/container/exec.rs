//! `exec`: runs one more process in a running container.

use api_client::query::path_escape;
use api_client::{Client, Query};
use serde_json::{Value as Json, json};

use super::streams::{Attachment, Ended, Signals, resize};
use super::{options, run};
use crate::command::Kind::{Checked, List, Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

fn variable(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        Err(format!("invalid environment variable: {text}"))
    } else {
        Ok(())
    }
}

const FLAGS: &[Flag] = &[
    switch("detach", 'd', "Leave it in the background"),
    long("detach-keys", Text, "Keys that detach, ctrl-p,ctrl-q if not said"),
    flag("env", 'e', Checked("list", variable), "", "Set a variable, as NAME=VALUE"),
    long("env-file", List, "Set variables from the lines of a file"),
    switch("interactive", 'i', "Keep stdin open even when not attached"),
    long("privileged", Switch, "Give it every privilege"),
    switch("tty", 't', "Give it a terminal"),
    flag("user", 'u', Text, "", "User to run as, NAME or ID with :GROUP"),
    flag("workdir", 'w', Text, "", "Working directory inside"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Execute a command in a running container",
    usage: &["[OPTIONS] CONTAINER COMMAND [ARG...]"],
    spellings: &["container exec", "exec"],
    flags: &[FLAGS],
    arity: Arity::Min(2),
    interspersed: false,
    examples: &["exec -it web sh", "exec -u 0 -w /tmp web ls"],
    run: exec,
};

fn exec(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let env = options::read_environment(matches.list("env-file"), matches.list("env"), &session.environment)?;
    let name = path_escape(matches.arg(0));
    // Docker looks first, so that a missing container is told before anything about terminals.
    client.get::<serde::de::IgnoredAny>(&format!("/containers/{name}/json"), &Query::new())?;
    let (tty, stdin, detached) = (matches.on("tty"), matches.on("interactive"), matches.on("detach"));
    if tty && stdin && !detached && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::text("the input device is not a TTY"));
    }
    let keys = run::detach_keys(session, matches)?;
    let mut body = json!({
        "User": matches.text("user"), "Privileged": matches.on("privileged"), "Tty": tty,
        "AttachStdin": stdin && !detached, "AttachStderr": !detached, "AttachStdout": !detached, "Detach": detached,
        "DetachKeys": matches.text("detach-keys"), "Env": env, "WorkingDir": matches.text("workdir"),
        "Cmd": matches.args.get(1..).unwrap_or_default(),
    });
    add_size(&mut body, tty);
    let answer: Json = client.post(&format!("/containers/{name}/exec"), &Query::new(), &body)?;
    let exec = answer.get("Id").and_then(Json::as_str).unwrap_or_default().to_owned();
    if exec.is_empty() {
        return Err(Failure::text("exec ID empty"));
    }
    let path = format!("/exec/{exec}");
    let mut start = json!({"Detach": detached, "Tty": tty});
    add_size(&mut start, tty);
    if detached {
        return Ok(client.post_only(&format!("{path}/start"), &Query::new(), &start)?);
    }
    let signals = if tty { Signals::take_over() } else { None };
    let upgraded = client.upgrade(
        &format!("{path}/start"),
        &Query::new(),
        Some(serde_json::to_vec(&start).unwrap_or_default()),
    )?;
    if tty {
        resize(client, &path);
    }
    let attachment = Attachment {
        upgraded,
        tty,
        stdin,
        stdout: true,
        stderr: true,
        detach_keys: keys,
        resize_path: Some(path.clone()),
        signal_path: None,
    };
    if attachment.run(client, signals)? == Ended::Detached {
        return Err(Failure::text("read escape sequence"));
    }
    exit_status(client, &path)
}

/// Tells the size of our terminal, so that the first screen fits it.
fn add_size(document: &mut Json, tty: bool) {
    let size = if tty { terminal::size(std::io::stdout()) } else { None };
    if let (Some(size), Some(fields)) = (size, document.as_object_mut()) {
        fields.insert("ConsoleSize".to_owned(), json!([size.height, size.width]));
    }
}

fn exit_status(client: &Client, path: &str) -> Outcome {
    let state: Json = client.get(&format!("{path}/json"), &Query::new())?;
    match state.get("ExitCode").and_then(Json::as_i64).unwrap_or(0) {
        0 => Ok(()),
        code => Err(Failure::Status(u8::try_from(code & 0xff).unwrap_or(255))),
    }
}
