//! `push`: puts an image into a registry.

use api_client::query::path_escape;
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
    switch("all-tags", 'a', "Put every tag of the repository"),
    flag("disable-content-trust", '\0', Switch, "true", "Put it there also when content trust is on"),
    long("platform", Text, "Put only this platform, linux/arm64 say"),
    switch("quiet", 'q', "Print only the name"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Upload an image to a registry",
    usage: &["[OPTIONS] NAME[:TAG]"],
    spellings: &["image push", "push"],
    flags: &[FLAGS],
    arity: Arity::Exact(1),
    interspersed: true,
    examples: &["push localhost:5000/hello"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let parsed = reference::parse(matches.arg(0))?;
    let all = matches.on("all-tags");
    if all && (parsed.tag.is_some() || parsed.digest.is_some()) {
        return Err(Failure::text("tag can't be used with --all-tags/-a"));
    }
    session.require(matches, "platform", "1.46")?;
    trust::check(session, matches, &parsed)?;
    let quiet = matches.on("quiet");
    let wanted = if all {
        parsed
    } else {
        if parsed.tag.is_none() && parsed.digest.is_none() && !quiet {
            println!("Using default tag: latest");
        }
        parsed.with_latest()
    };
    let mut query = Query::new().text("tag", wanted.tag.as_deref().unwrap_or_default());
    if matches.given("platform") {
        query = query.set("platform", platform(matches.text("platform"))?);
    }
    let header = credentials::header_if_any(session, &wanted.domain);
    let headers = [("X-Registry-Auth", header.as_str())];
    let path = format!("/images/{}/push", path_escape(&wanted.familiar_name()));
    let client = session.client()?;
    // Without size and bars, the stream still has to be read to its end: errors come last.
    let answer = client.send("POST", &path, &query, &headers, Body::Empty)?;
    progress::show(answer.body, quiet, false, |_| {})?;
    if quiet {
        println!("{}", wanted.full_name() + &wanted.tag.map(|tag| format!(":{tag}")).unwrap_or_default());
    }
    Ok(())
}

/// `os/arch[/variant]` as the OCI document that most calls take.
///
/// # Errors
/// When it is no platform.
pub fn platform(text: &str) -> Result<String, Failure> {
    let platform: oci::Platform =
        text.parse().map_err(|error| Failure::text(format!("invalid platform: {error}")))?;
    let document = serde_json::to_value(platform).map_err(std::io::Error::other)?;
    Ok(crate::json::compact(&document))
}
