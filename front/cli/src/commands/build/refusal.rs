//! What the engine's classic builder cannot do is refused before anything is sent.

use super::source::Source;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

/// Flags that only BuildKit's protocol carries.
const BUILDKIT_ONLY: [&str; 16] = [
    "allow",
    "annotation",
    "attest",
    "build-context",
    "cache-to",
    "check",
    "debug-on-failure",
    "explain",
    "metadata-file",
    "no-cache-filter",
    "output",
    "policy",
    "push",
    "resource",
    "secret",
    "ssh",
];

/// Refuses what cannot be done, by the name of its flag.
///
/// # Errors
/// For flags of BuildKit, experimental ones on an engine without experiments, and values that make no sense.
pub(super) fn check(session: &Session, matches: &Matches) -> Outcome {
    if let Some(flag) = BUILDKIT_ONLY.iter().find(|flag| asks_for(matches, flag)) {
        return Err(needs_buildkit(&format!("--{flag}")));
    }
    for flag in ["provenance", "sbom"] {
        let text = matches.text(flag);
        if !text.is_empty() && crate::value::truth(text) != Ok(false) {
            return Err(needs_buildkit(&format!("--{flag}={text}")));
        }
    }
    if matches.text("call") != "build" {
        return Err(needs_buildkit(&format!("--call={}", matches.text("call"))));
    }
    if matches.list("platform").len() > 1 {
        return Err(needs_buildkit("more than one --platform"));
    }
    let builder = matches.text("builder");
    if !matches!(builder, "" | "default") {
        return Err(Failure::text(format!("no builder {} found", crate::value::quoted(builder))));
    }
    if matches.on("squash") && !session.client()?.ping()?.experimental {
        return Err(Failure::text(
            "\"--squash\" is only supported on a Docker daemon with experimental features enabled",
        ));
    }
    Ok(())
}

/// Refuses a context that the classic door cannot bring together with its Dockerfile.
///
/// # Errors
/// When the engine gets the files, and we the Dockerfile.
pub(super) fn check_source(source: &Source) -> Outcome {
    if matches!(source, Source::Remote(_, dockerfile) if dockerfile == "-") {
        return Err(Failure::text(
            "unable to prepare context: the engine fetches the context, so the Dockerfile cannot come from stdin",
        ));
    }
    Ok(())
}

/// A switch that is given and off asks for nothing.
fn asks_for(matches: &Matches, flag: &str) -> bool {
    let switched_off = matches!(flag, "check" | "debug-on-failure" | "explain" | "push") && !matches.on(flag);
    matches.given(flag) && !switched_off
}

fn needs_buildkit(what: &str) -> Failure {
    Failure::text(format!("{what} needs BuildKit's protocol, and this build goes through the classic one"))
}
