//! Content trust: with `DOCKER_CONTENT_TRUST` set, only images named by their digest are used.
//!
//! Docker asked a notary server which digest a tag stands for; those servers are gone, and docker's client no longer asks
//! them. What was promised stays: no image is used whose bytes nobody vouched for (`docs/decisions/0006-content-trust.md`).

use super::reference::{self, Reference};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// Refuses a tag while content trust is on.
///
/// # Errors
/// When trust is wanted, and the name has no digest.
pub fn check(session: &Session, matches: &Matches, name: &Reference) -> Outcome {
    if name.digest.is_some() || !wanted(session, matches) {
        return Ok(());
    }
    Err(Failure::text(format!(
        "Error: content trust is on, and nobody vouches for {}: name it by its digest (NAME@sha256:...), or say --disable-content-trust",
        name.clone().with_latest().familiar()
    )))
}

/// The same for a container's image, which may be named by its id.
///
/// # Errors
/// As [`check`].
pub fn check_image(session: &Session, matches: &Matches, image: &str) -> Outcome {
    match reference::parse(image) {
        Ok(name) => check(session, matches, &name),
        // An id is a digest.
        Err(_) => Ok(()),
    }
}

/// Whether the flag, else the variable, asks for trust.
fn wanted(session: &Session, matches: &Matches) -> bool {
    if matches.given("disable-content-trust") {
        return !matches.on("disable-content-trust");
    }
    match session.environment.own("CONTENT_TRUST") {
        None => false,
        // What is no truth value at all was meant to switch something on.
        Some(text) => crate::value::truth(text).unwrap_or(true),
    }
}
