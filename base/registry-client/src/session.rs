//! Requests to one repository: proof of who asks, redirects, refusals.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use transport::client::{Body, Response};

use crate::challenge::{self, Challenge};
use crate::client::Known;
use crate::error::{ApiError, RegistryError};
use crate::token::Token;
use crate::url::Url;
use crate::{Client, Credentials, Place, Secret};

/// What is going to be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Pull,
    /// Read and write.
    Push,
    /// Remove.
    Delete,
}

impl Access {
    pub(crate) fn scope(self, name: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,delete",
        };
        format!("repository:{name}:{actions}")
    }
}

/// Redirects followed for one request.
const REDIRECTS: usize = 10;
/// Bytes of an error's body that are read.
const REFUSAL_LIMIT: u64 = 64 * 1024;
/// Bytes of a refusal's text that are shown.
const TEXT_LIMIT: usize = 1024;
/// Longest wait a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A repository's registry, and who asks.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) place: Place,
    pub(crate) base: Url,
    pub(crate) credentials: Credentials,
    state: Mutex<State>,
}

struct State {
    challenges: Vec<Challenge>,
    scopes: Vec<String>,
    token: Option<Token>,
}

/// A request; its body is made anew for each attempt.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: Url,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a dyn Fn() -> Body,
}

impl Session {
    pub(crate) fn new(client: Client, place: Place, known: Known, credentials: Credentials) -> Self {
        let state = State { challenges: known.challenges, scopes: Vec::new(), token: None };
        Self { client, place, base: known.base, credentials, state: Mutex::new(state) }
    }

    /// Adds to what tokens are asked for.
    pub(crate) fn want(&self, scope: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.scopes.contains(&scope) {
            state.scopes.push(scope);
            state.token = None;
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url { path: format!("{}v2/{path}", self.base.path), ..self.base.clone() }
    }

    /// Sends a request and answers its success; a refusal is an error that carries what the registry said.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Response, RegistryError> {
        let mut renewed = false;
        loop {
            let (answer, from) = self.exchange(ask)?;
            match answer.head.status {
                401 if !renewed && from == ask.url && self.learn(&answer) => {
                    skip(answer);
                    renewed = true;
                }
                200..=399 => return Ok(answer),
                _ => return Err(refusal(answer, label(ask.method, &ask.url))),
            }
        }
    }

    /// Notes what a refusal asks for; whether a second attempt can do better.
    fn learn(&self, answer: &Response) -> bool {
        let challenges = challenge::parse(answer.head.all("WWW-Authenticate"));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let had_token = state.token.take().is_some();
        let is_new = state.challenges != challenges && !challenges.is_empty();
        if is_new {
            state.challenges = challenges;
        }
        is_new || had_token
    }

    /// Follows redirects of reading requests. Answers also where the answer came from.
    fn exchange(&self, ask: &Ask<'_>) -> Result<(Response, Url), RegistryError> {
        let mut url = ask.url.clone();
        let reads = matches!(ask.method, "GET" | "HEAD");
        for _ in 0..=REDIRECTS {
            // Whoever we are sent to is not the one the credentials are for.
            let proof = if url.origin == self.base.origin { self.proof(ask)? } else { None };
            let mut headers = ask.headers.to_vec();
            headers.extend(proof.as_ref().map(|proof| ("Authorization", proof.reveal())));
            let verify = !self.place.insecure || url.origin.host != self.base.origin.host;
            let answer =
                self.client.send(&url, verify, ask.method, &headers, (ask.body)()).inspect_err(|_| {
                    self.client.forget(&self.place);
                })?;
            let location = answer.head.header("Location").map(str::to_owned);
            match (answer.head.status, location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) if reads => {
                    skip(answer);
                    url = self.follow(ask, &url, &location)?;
                }
                _ => return Ok((answer, url)),
            }
        }
        let (request, to) = (label(ask.method, &ask.url), url.to_string());
        Err(RegistryError::Redirect { request, to, reason: "there are too many" })
    }

    /// Where a `Location` leads, if we go there: never from TLS to plain HTTP, never from elsewhere to this machine.
    pub(crate) fn follow(&self, ask: &Ask<'_>, from: &Url, location: &str) -> Result<Url, RegistryError> {
        let refused = |reason| {
            let to = clean(location);
            RegistryError::Redirect { request: label(ask.method, &ask.url), to, reason }
        };
        let to = from.join(location).ok_or_else(|| refused("it is no http address"))?;
        if to.origin.is_local() && !self.base.origin.is_local() {
            return Err(refused("it leads to this machine"));
        }
        if from.origin.tls && !to.origin.tls {
            if to.origin.host == from.origin.host {
                // A registry behind a proxy that ends TLS does not know that it was asked through TLS.
                let port = if to.origin.port == 80 { from.origin.port } else { to.origin.port };
                return Ok(Url {
                    origin: crate::url::Origin { tls: true, port, ..to.origin },
                    path: to.path,
                });
            }
            if !self.place.insecure {
                return Err(refused("it leads from TLS to plain HTTP"));
            }
        }
        Ok(to)
    }

    /// The value of `Authorization`.
    fn proof(&self, ask: &Ask<'_>) -> Result<Option<Secret>, RegistryError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bearer =
            state.challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. })).cloned();
        if let Some(Challenge::Bearer { realm, service, scope, .. }) = bearer {
            if let Credentials::Registry(token) = &self.credentials {
                return Ok(Some(Secret::new(format!("Bearer {}", token.reveal()))));
            }
            // Held while the token is fetched, so that parallel requests share it.
            if !state.token.as_ref().is_some_and(Token::is_fresh) {
                let mut scopes = state.scopes.clone();
                let asked = scope.split(' ').filter(|scope| scope.starts_with("repository:"));
                let new: Vec<String> =
                    asked.filter(|scope| !covers(&scopes, scope)).map(str::to_owned).collect();
                scopes.extend(new.into_iter().take(4));
                state.token = Some(self.fetch_token(&realm, &service, &scopes, false)?);
            }
            return Ok(state
                .token
                .as_ref()
                .map(|token| Secret::new(format!("Bearer {}", token.text.reveal()))));
        }
        if state.challenges.contains(&Challenge::Basic) {
            let request = || label(ask.method, &ask.url);
            return self
                .credentials
                .basic()
                .map(Some)
                .ok_or_else(|| RegistryError::NoCredentials { request: request() });
        }
        Ok(None)
    }
}

/// Whether a scope asks for nothing that others do not ask for.
fn covers(scopes: &[String], scope: &str) -> bool {
    let split =
        |scope: &str| scope.rsplit_once(':').map(|(name, actions)| (name.to_owned(), actions.to_owned()));
    let Some((name, actions)) = split(scope) else { return true };
    scopes.iter().filter_map(|held| split(held)).any(|(held, allowed)| {
        held == name && actions.split(',').all(|action| allowed.split(',').any(|other| other == action))
    })
}

/// `Get "https://..."`, as Go's client begins its errors.
pub(crate) fn label(method: &str, url: &Url) -> String {
    let mut letters = method.chars();
    let first = letters.next().unwrap_or_default();
    // A query may hold what only the registry should see (upload state, signatures).
    let path = url.path.split('?').next().unwrap_or_default();
    format!("{first}{} \"{}{path}\"", letters.as_str().to_lowercase(), url.origin.text())
}

/// Reads what is left of a short answer, so that its connection can be used again.
pub(crate) fn skip(mut answer: Response) {
    let mut left = REFUSAL_LIMIT;
    let mut block = [0; 4096];
    while left > 0 {
        match answer.body.read(&mut block) {
            Ok(count) if count > 0 => left = left.saturating_sub(count as u64),
            _ => return,
        }
    }
}

/// An answer with a status of failure as the error it tells of.
pub(crate) fn refusal(mut answer: Response, request: String) -> RegistryError {
    let mut body = Vec::new();
    let read = (&mut answer.body).take(REFUSAL_LIMIT).read_to_end(&mut body);
    let errors = if read.is_ok() { read_errors(&body) } else { Vec::new() };
    let retry_after = answer.head.header("Retry-After").and_then(|text| wait(text, jiff::Timestamp::now()));
    RegistryError::Refused { request, status: answer.head.status, errors, retry_after }
}

/// How long a registry asks to wait: seconds, or a date (RFC 9110, section 10.2.3).
fn wait(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            u64::try_from(date.as_second().saturating_sub(now.as_second())).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// The list of errors in its forms: the specification's, a single one, a token server's `details`.
fn read_errors(body: &[u8]) -> Vec<ApiError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        errors: Option<Vec<ApiError>>,
        code: String,
        message: String,
        details: String,
    }
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return Vec::new() };
    let mut errors = body.errors.unwrap_or_default();
    errors.truncate(8);
    if errors.is_empty() {
        let message = if body.details.is_empty() { body.message } else { body.details };
        let code = if body.code.is_empty() { "UNAUTHORIZED".to_owned() } else { body.code };
        if !message.is_empty() {
            errors.push(ApiError { code, message });
        }
    }
    for error in &mut errors {
        *error = ApiError { code: clean(&error.code), message: clean(&error.message) };
    }
    errors
}

/// Text of a registry as it may be shown: no control characters, not too long.
fn clean(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(TEXT_LIMIT).collect()
}

/// Reads a body that must not be longer than `limit`.
pub(crate) fn read_limited(answer: Response, limit: u64, request: &str) -> Result<Vec<u8>, RegistryError> {
    let malformed = |reason: String| RegistryError::Malformed { request: request.to_owned(), reason };
    let mut bytes = Vec::new();
    answer.body.take(limit + 1).read_to_end(&mut bytes).map_err(|source| RegistryError::Exchange {
        request: request.to_owned(),
        cause: transport::client::HttpError::Broken(source),
    })?;
    if bytes.len() as u64 > limit {
        return Err(malformed(format!("the answer is longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_all_forms() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\u0007"}]}"#, vec![("DENIED", "no")]),
            (
                r#"{"errors":null,"details":"incorrect username or password"}"#,
                vec![("UNAUTHORIZED", "incorrect username or password")],
            ),
            (r#"{"errors":[]}"#, vec![]),
            ("<html>", vec![]),
            ("", vec![]),
        ] {
            let errors = read_errors(body.as_bytes());
            let found: Vec<_> =
                errors.iter().map(|error| (error.code.as_str(), error.message.as_str())).collect();
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now: jiff::Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            (" 100000 ", Some(300)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 09:28:00 GMT", Some(300)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(wait(text, now).map(|wait| wait.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn scopes_that_are_asked_for_already() {
        let held = ["repository:a/b:pull,push".to_owned()];
        assert!(covers(&held, "repository:a/b:pull"));
        assert!(covers(&held, "repository:a/b:push,pull"));
        assert!(!covers(&held, "repository:a/b:delete"));
        assert!(!covers(&held, "repository:a/c:pull"));
    }

    #[test]
    fn labels_hide_queries() {
        let url = Url::parse("https://h/v2/x/blobs/uploads/1?_state=secret").unwrap();
        assert_eq!(label("PATCH", &url), "Patch \"https://h/v2/x/blobs/uploads/1\"");
    }
}
