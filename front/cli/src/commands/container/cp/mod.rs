//! `cp`: files between a container and this machine, by docker's path rules.

mod from;
mod place;
mod to;

use crate::command::{Arity, Command, Flag, switch};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("archive", 'a', "Keep owners (user and group ids)"),
    switch("follow-link", 'L', "Copy what a link leads to"),
    switch("quiet", 'q', "Do not tell progress"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Copy files/folders between a container and the local filesystem",
    usage: &["[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"],
    spellings: &["container cp", "cp"],
    flags: &[FLAGS],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &["cp web:/etc/nginx/nginx.conf .", "cp ./site/. web:/usr/share/nginx/html"],
    run,
};

/// What is asked for besides the two paths.
struct Wish {
    archive: bool,
    follow: bool,
    quiet: bool,
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (source, target) = (matches.arg(0), matches.arg(1));
    if source.is_empty() {
        return Err(Failure::text("source can not be empty"));
    }
    if target.is_empty() {
        return Err(Failure::text("destination can not be empty"));
    }
    let quiet =
        if matches.given("quiet") { matches.on("quiet") } else { !terminal::is_terminal(std::io::stdout()) };
    let wish = Wish { archive: matches.on("archive"), follow: matches.on("follow-link"), quiet };
    let client = session.client()?;
    match (split(source), split(target)) {
        (Some((container, path)), None) => from::copy(client, container, path, target, &wish),
        (None, Some((container, path))) => to::copy(client, source, container, path, &wish),
        (Some(_), Some(_)) => Err(Failure::text("copying between containers is not supported")),
        (None, None) => Err(Failure::text("must specify at least one container source")),
    }
}

/// Container and path of `CONTAINER:PATH`; none for local paths, which may hold a colon behind a slash or dot.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('/') {
        return None;
    }
    let (container, path) = text.split_once(':')?;
    (!container.starts_with('.') && !container.is_empty()).then_some((container, path))
}

fn told(bytes: u64, place: &str) {
    eprintln!("Successfully copied {} to {place}", crate::human::size3(bytes as f64));
}
