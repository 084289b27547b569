//! The calls that take nothing but a container's name.

use api_client::Query;
use api_client::query::path_escape;

use crate::commands::each::{each, each_at_once};
use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// POSTs a verb for every name and prints the names.
pub fn post_each(session: &Session, matches: &Matches, verb: &str, query: &Query) -> Outcome {
    let client = session.client()?;
    each(&matches.args, |name| {
        client.call("POST", &format!("/containers/{}/{verb}", path_escape(name)), query)?;
        Ok(())
    })
}

/// The same for several containers at a time, where their order means nothing.
pub fn post_at_once(session: &Session, matches: &Matches, verb: &str, query: &Query) -> Outcome {
    let client = session.client()?;
    each_at_once(&matches.args, |name| {
        client.call("POST", &format!("/containers/{}/{verb}", path_escape(name)), query)?;
        Ok(true)
    })
}

/// The query of stop and restart.
pub fn stop_query(matches: &Matches) -> Query {
    let query = Query::new().text("signal", matches.text("signal"));
    if matches.given("timeout") { query.set("t", matches.int("timeout").to_string()) } else { query }
}
