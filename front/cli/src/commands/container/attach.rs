//! `attach`: joins the streams of a running container.

use api_client::query::path_escape;
use api_client::{Body, Query};
use serde_json::Value as Json;

use super::run;
use super::streams::{Attachment, Ended, Signals, redraw};
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("detach-keys", Text, "Keys that detach, ctrl-p,ctrl-q if not said"),
    long("no-stdin", Switch, "Do not send our input"),
    flag("sig-proxy", '\0', Switch, "true", "Pass signals we get on to the process"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Attach local standard input, output, and error streams to a running container",
    usage: &["[OPTIONS] CONTAINER"],
    spellings: &["container attach", "attach"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["attach --sig-proxy=false web"],
    run: attach,
};

fn attach(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let name = path_escape(matches.arg(0));
    let path = format!("/containers/{name}");
    let document: Json = client.get(&format!("{path}/json"), &Query::new())?;
    let flag = |pointer: &str| document.pointer(pointer).and_then(Json::as_bool).unwrap_or(false);
    if !flag("/State/Running") {
        return Err(Failure::text("You cannot attach to a stopped container, start it first"));
    }
    if flag("/State/Paused") {
        return Err(Failure::text("You cannot attach to a paused container, unpause it first"));
    }
    if flag("/State/Restarting") {
        return Err(Failure::text("You cannot attach to a restarting container, wait until it is running"));
    }
    let (tty, stdin) = (flag("/Config/Tty"), flag("/Config/OpenStdin") && !matches.on("no-stdin"));
    if tty && stdin && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::text("the input device is not a TTY"));
    }
    let keys = run::detach_keys(session, matches)?;
    let signals = Signals::take_over();
    let waiting = client.send("POST", &format!("{path}/wait"), &Query::new(), &[], Body::Empty)?;
    let query = Query::new()
        .flag("stream", true)
        .flag("stdin", stdin)
        .flag("stdout", true)
        .flag("stderr", true)
        .text("detachKeys", matches.text("detach-keys"));
    let upgraded = client.upgrade(&format!("{path}/attach"), &query, None)?;
    if tty {
        redraw(client, &path);
    }
    let attachment = Attachment {
        upgraded,
        tty,
        stdin,
        stdout: true,
        stderr: true,
        detach_keys: keys,
        resize_path: Some(path.clone()),
        signal_path: matches.on("sig-proxy").then_some(path),
    };
    if attachment.run(client, signals)? == Ended::Detached {
        return Err(Failure::text("read escape sequence"));
    }
    match run::exit_code(waiting)? {
        0 => Ok(()),
        code => Err(Failure::Status(code)),
    }
}
