//! `pull`: gets an image from a registry.

use api_client::{Body, Query};

use super::{reference, trust};
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::progress;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all-tags", 'a', "Get every tag of the repository"),
    flag("disable-content-trust", '\0', Switch, "true", "Get it also when content trust is on"),
    long("platform", Text, "Platform to get, linux/arm64 say"),
    switch("quiet", 'q', "Print only the name"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Download an image from a registry",
    usage: &["[OPTIONS] NAME[:TAG|@DIGEST]"],
    spellings: &["image pull", "pull"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["pull debian:bookworm", "pull --platform linux/arm64 busybox"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let name = matches.arg(0);
    let parsed = reference::parse(name)?;
    let all = matches.on("all-tags");
    if all && (parsed.tag.is_some() || parsed.digest.is_some()) {
        return Err(Failure::text("tag can't be used with --all-tags/-a"));
    }
    trust::check(session, matches, &parsed)?;
    let quiet = matches.on("quiet");
    let platform = match matches.text("platform") {
        "" => session.environment.own("DEFAULT_PLATFORM").unwrap_or_default(),
        given => given,
    };
    let wanted = if all {
        parsed
    } else {
        if parsed.tag.is_none() && parsed.digest.is_none() && !quiet {
            println!("Using default tag: latest");
        }
        parsed.with_latest()
    };
    let header = credentials::header_if_any(session, &wanted.domain);
    fetch(session, &wanted, platform, &header, Shown { quiet, to_stderr: false })?;
    let mut shown = wanted.full_name();
    if let Some(tag) = &wanted.tag {
        shown = format!("{shown}:{tag}");
    }
    if let Some(digest) = &wanted.digest {
        shown = format!("{shown}@{digest}");
    }
    println!("{shown}");
    Ok(())
}

/// Gets the image that `run` or `create` need; progress goes to standard error.
///
/// # Errors
/// When a credential helper fails, or the engine can't get it.
pub fn pull(session: &Session, name: &str, platform: &str, quiet: bool) -> Outcome {
    let wanted = reference::parse(name)?.with_latest();
    let header = credentials::header(session, &wanted.domain)?;
    fetch(session, &wanted, platform, &header, Shown { quiet, to_stderr: true })
}

/// What is shown, and where.
#[derive(Clone, Copy)]
struct Shown {
    quiet: bool,
    to_stderr: bool,
}

fn fetch(
    session: &Session,
    wanted: &reference::Reference,
    platform: &str,
    header: &str,
    shown: Shown,
) -> Outcome {
    let tag = wanted.digest.clone().or_else(|| wanted.tag.clone()).unwrap_or_default();
    let query = Query::new()
        .set("fromImage", wanted.full_name())
        .text("tag", &tag)
        .text("platform", &platform.to_lowercase());
    let headers = [("X-Registry-Auth", header)];
    let answer = session.client()?.send("POST", "/images/create", &query, &headers, Body::Empty)?;
    progress::show(answer.body, shown.quiet, shown.to_stderr, |_| {})
}
