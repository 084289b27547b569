//! Search, with Docker's filters.

use api::image::SearchResult;
use model::Filters;
use registry_client::{HUB, RegistryError};

use super::{Caller, failure};
use crate::engine::Inner;
use crate::image::flag;
use crate::{Error, Result};

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct SearchParameters {
    /// A word, perhaps behind a registry's name.
    pub term: String,
    /// Results at most; 0 means Docker's 25.
    pub limit: i64,
    /// `is-official`, `is-automated`, `stars`.
    pub filters: Filters,
}

const USUAL: usize = 25;
const MOST: i64 = 100;

pub(super) fn search(
    inner: &Inner,
    parameters: &SearchParameters,
    caller: &Caller,
) -> Result<Vec<SearchResult>> {
    let filters = &parameters.filters;
    filters.allow_only(&["is-automated", "is-official", "stars"]).map_err(Error::from_kinded)?;
    let (official, automated) = (flag(filters, "is-official")?, flag(filters, "is-automated")?);
    let mut stars = 0;
    for text in filters.get("stars") {
        stars = stars.max(text.parse::<i64>().map_err(|error| no_number(text, &error))?);
    }
    let limit = match parameters.limit {
        0 => USUAL,
        1..=MOST => usize::try_from(parameters.limit).unwrap_or(USUAL),
        other => return Err(Error::invalid(format!("limit {other} is outside the range of [1, {MOST}]"))),
    };
    let (registry, term) = split(&parameters.term);
    let client = inner.registries.client(caller);
    let found = client.search(registry, term, limit, &caller.credentials).map_err(|error| match error {
        RegistryError::Refused { status, .. } => Error::internal(format!("Unexpected status code {status}")),
        other => failure(other),
    })?;
    let fits = |result: &registry_client::Found| {
        official.is_none_or(|wanted| result.is_official == wanted)
            && automated.is_none_or(|wanted| result.is_automated == wanted)
            && result.star_count >= stars
    };
    Ok(found
        .into_iter()
        .filter(fits)
        .map(|result| SearchResult {
            star_count: result.star_count,
            is_official: result.is_official,
            name: result.name,
            is_automated: result.is_automated,
            description: result.description.unwrap_or_default(),
        })
        .collect())
}

/// A count of stars that is none, in Docker's words.
fn no_number(text: &str, error: &std::num::ParseIntError) -> Error {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let reason = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    Error::invalid(format!("invalid filter 'stars={text}': strconv.Atoi: parsing {text:?}: {reason}"))
}

/// The registry before the first slash, when it looks like one.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "docker.io" | "index.docker.io" => (HUB, rest),
            host => (host, rest),
        },
        _ => (HUB, term),
    }
}
