//! `import`: an image from a tar archive of a file system.

use std::io::Read;

use api_client::{Body, Query};

use super::reference;
use crate::command::Kind::{List, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Outcome, file_failure};
use crate::matches::Matches;
use crate::progress;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("change", 'c', List, "", "Dockerfile instruction to apply to the image"),
    flag("message", 'm', Text, "", "Words about it"),
    long("platform", Text, "Platform it is for"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Import the contents from a tarball to create a filesystem image",
    usage: &["[OPTIONS] file|URL|- [REPOSITORY[:TAG]]"],
    spellings: &["image import", "import"],
    flags: &[FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["import rootfs.tar my/base:1", "import - my/base:1 < rootfs.tar"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let source = matches.arg(0);
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let body = match source {
        "-" => Body::Stream(Box::new(std::io::stdin())),
        _ if is_url => Body::Empty,
        path => {
            let file = std::fs::File::open(path).map_err(|error| file_failure("open", path, &error))?;
            Body::Stream(Box::new(file) as Box<dyn Read + Send>)
        }
    };
    let (repository, tag) = match matches.arg(1) {
        "" => (String::new(), String::new()),
        name => reference::parse(name)?.repository_and_tag(),
    };
    let mut query = Query::new()
        .set("fromSrc", if is_url { source } else { "-" })
        .text("repo", &repository)
        .text("tag", &tag)
        .text("message", matches.text("message"))
        .text("platform", &matches.text("platform").to_lowercase());
    for change in matches.list("change") {
        query = query.set("changes", change);
    }
    let answer =
        session.client()?.send("POST", "/images/create", &query, &[("Content-Type", "text/plain")], body)?;
    progress::show(answer.body, false, false, |_| {})
}
