//! The search of registries that have one (`/v1/search`).

use serde::Deserialize;
use transport::client::Body;

use crate::client::Known;
use crate::error::RegistryError;
use crate::session::{Ask, Session, label, read_limited};
use crate::url::{Origin, Url};
use crate::{Client, Credentials, HUB, Place};

/// A repository that fits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// How many like it.
    pub star_count: i64,
    /// Whether the registry's owner made it.
    pub is_official: bool,
    /// Whether it was built by the registry.
    pub is_automated: bool,
}

/// What a search answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SearchAnswer {
    /// Those of the first page.
    pub results: Option<Vec<Found>>,
}

/// Bytes of an answer.
const ANSWER_LIMIT: u64 = 4 << 20;
/// Where Docker Hub is searched.
const HUB_INDEX: &str = "index.docker.io";

impl Client {
    /// Searches a registry; the best ones first.
    ///
    /// # Errors
    /// When it cannot be reached or has no search.
    pub fn search(
        &self,
        registry: &str,
        term: &str,
        limit: usize,
        credentials: &Credentials,
    ) -> Result<Vec<Found>, RegistryError> {
        let mut place = Place::of(registry, self.settings())?;
        if registry == HUB {
            let origin = Origin { tls: true, host: HUB_INDEX.to_owned(), port: 443 };
            place.candidates = vec![Url { origin, path: "/".to_owned() }];
        }
        let known = match place.candidates.as_slice() {
            // With one place there is nothing to find out before.
            [only] => Known { base: only.clone(), challenges: Vec::new() },
            _ => self.greet(&place)?,
        };
        let base = known.base.clone();
        let session = Session::new(self.clone(), place, known, credentials.clone());
        let url = Url { path: "/v1/search".to_owned(), ..base };
        let url = url.with_query("q", term).with_query("n", &limit.to_string());
        let ask = Ask { method: "GET", url, headers: &[("X-Docker-Token", "true")], body: &|| Body::Empty };
        let answer = session.send(&ask)?;
        let request = label("GET", &ask.url);
        let bytes = read_limited(answer, ANSWER_LIMIT, &request)?;
        let answer: SearchAnswer = serde_json::from_slice(&bytes)
            .map_err(|error| RegistryError::Malformed { request, reason: error.to_string() })?;
        let mut found = answer.results.unwrap_or_default();
        found.truncate(limit);
        Ok(found)
    }
}
