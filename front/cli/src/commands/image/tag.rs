//! `tag`: one more name for an image.

use api_client::Query;
use api_client::query::path_escape;

use super::reference;
use crate::command::{Arity, Command};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    usage: &["SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"],
    spellings: &["image tag", "tag"],
    flags: &[],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &["tag hello localhost:5000/hello"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let wrap = |name: &str, failure: &Failure| {
        Failure::text(format!(
            "Error parsing reference: {} is not a valid repository/tag: {}",
            crate::value::quoted(name),
            failure.message()
        ))
    };
    let target =
        reference::parse(matches.arg(1)).map_err(|failure| wrap(matches.arg(1), &failure))?.with_latest();
    if target.digest.is_some() {
        return Err(Failure::text("refusing to create a tag with a digest reference"));
    }
    let query = Query::new()
        .set("repo", target.familiar_name())
        .text("tag", target.tag.as_deref().unwrap_or_default());
    let path = format!("/images/{}/tag", path_escape(matches.arg(0)));
    Ok(session.client()?.call("POST", &path, &query)?)
}
