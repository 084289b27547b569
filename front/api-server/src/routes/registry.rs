//! Registries: pull, push, login, search, and what a name stands for out there.

use std::io::Write;

use api::ApiVersion;
use api::image::Progress;
use api::system::AuthConfig;
use base64::Engine as _;
use engine::image::{PullParameters, PushParameters};
use engine::registry::{Caller, SearchParameters, Stop, credentials};
use transport::server::{Exchange, ResponseHead, StreamWriter};

use super::image::platform;
use crate::call::{Call, MAX_JSON, write_progress};
use crate::failure::Failure;
use crate::json_body::decode_plainly;

type Answer = Result<(), Failure>;

/// Headers of a caller that are passed on, at most.
const PASSED_ON: usize = 32;

/// `POST /images/create?fromImage=`
pub(crate) fn pull(call: &mut Call<'_, '_>) -> Answer {
    let query = &call.query;
    if query.text("fromImage").is_empty() {
        return Err(Failure::new(400, "invalid reference format"));
    }
    let parameters = PullParameters {
        image: query.text("fromImage").to_owned(),
        tag: query.text("tag").to_owned(),
        platform: query.non_empty("platform").filter(|_| call.version.at_least(32)),
        caller: caller(call),
    };
    let engine = call.engine;
    streamed(call, |progress, stop| engine.images().pull(&parameters, progress, stop))
}

/// `POST /images/{*}/push`
pub(crate) fn push(call: &mut Call<'_, '_>) -> Answer {
    let parameters = PushParameters {
        image: call.name(),
        tag: call.query.text("tag").to_owned(),
        platform: platform(call, "platform", 46)?.map(|platform| platform.text()),
        caller: caller(call),
    };
    let engine = call.engine;
    streamed(call, |progress, stop| engine.images().push(&parameters, progress, stop))
}

/// `POST /auth`
pub(crate) fn auth(call: &mut Call<'_, '_>) -> Answer {
    let body = call.exchange.body()?.read_all(MAX_JSON)?;
    let document: AuthConfig = decode_plainly(&body)?;
    let response = call.engine.registries().login(&document, &caller(call))?;
    call.json(200, &response)
}

/// `GET /images/search`
pub(crate) fn search(call: &mut Call<'_, '_>) -> Answer {
    let limit = call.query.text("limit");
    let wrong = || format!("invalid limit specified: strconv.Atoi: parsing {limit:?}: invalid syntax");
    let parameters = SearchParameters {
        term: call.query.text("term").to_owned(),
        limit: if limit.is_empty() { 0 } else { limit.parse().map_err(|_| Failure::new(400, wrong()))? },
        filters: call.query.filters()?,
    };
    let found = call.engine.registries().search(&parameters, &caller(call))?;
    call.json(200, &found)
}

/// `GET /distribution/{*}/json`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Answer {
    let found = call.engine.registries().inspect(&call.name(), &caller(call))?;
    call.json(200, &found)
}

/// Who asks: `X-Registry-Auth`, and what registries are told of the client.
fn caller(call: &Call<'_, '_>) -> Caller {
    let head = &call.exchange.head;
    let shown = head.header("x-registry-auth").and_then(decode).unwrap_or_default();
    let passed = head.all().filter(|(name, _)| *name == "user-agent" || name.starts_with("x-meta-"));
    let clean = |text: &str| text.chars().filter(|letter| !letter.is_control()).collect::<String>();
    Caller {
        credentials: credentials(&shown),
        headers: passed.take(PASSED_ON).map(|(name, value)| (clean(name), clean(value))).collect(),
    }
}

/// Base64 for URLs, with padding or without; what cannot be read counts as nothing, as with Docker.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let bare = text.trim().trim_end_matches('=');
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(bare);
    let bytes = url.or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(bare)).ok()?;
    api::decode(&bytes).ok()
}

/// A progress stream whose status is decided by what comes first: a line or a failure.
pub(super) fn streamed(
    call: &mut Call<'_, '_>,
    work: impl FnOnce(&mut dyn FnMut(Progress), &Stop) -> engine::Result<()>,
) -> Answer {
    let stop = Stop::default();
    let gone = stop.clone();
    let _watch = call.exchange.watch_disconnect(move || gone.stop())?;
    let head = call.head(200).content_type(api::stream::JSON);
    let version = call.version;
    let mut output = Output::Waiting(call.exchange, head);
    let outcome = work(&mut |progress| output.write(&progress, version, &stop), &stop);
    match (outcome, output) {
        (Err(error), Output::Waiting(..)) => Err(error.into()),
        (Err(error), mut open) => {
            open.write(&Progress::failure(error.message()), version, &stop);
            open.finish()
        }
        (Ok(()), open) => open.finish(),
    }
}

/// An answer that begins with its first line.
pub(crate) enum Output<'x, 'c> {
    Waiting(&'x mut Exchange<'c>, ResponseHead),
    Open(StreamWriter<'x>),
    Gone,
}

impl Output<'_, '_> {
    pub(crate) fn write(&mut self, progress: &Progress, version: ApiVersion, stop: &Stop) {
        if let Err(error) = self.try_write(progress, version) {
            // Whoever wanted it is gone.
            let _ = error;
            *self = Self::Gone;
            stop.stop();
        }
    }

    pub(crate) fn try_write(&mut self, progress: &Progress, version: ApiVersion) -> std::io::Result<()> {
        if matches!(self, Self::Waiting(..))
            && let Self::Waiting(exchange, head) = std::mem::replace(self, Self::Gone)
        {
            *self = Self::Open(exchange.stream(&head)?);
        }
        match self {
            Self::Open(writer) => {
                write_progress(writer, progress, version)?;
                writer.flush()
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn finish(self) -> Answer {
        match self {
            Self::Open(writer) => Ok(writer.finish()?),
            Self::Waiting(exchange, head) => Ok(exchange.respond(&head, b"")?),
            Self::Gone => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_in_all_alphabets() {
        let json = r#"{"username":"a?>","password":"b"}"#;
        for text in [
            base64::engine::general_purpose::URL_SAFE.encode(json),
            base64::engine::general_purpose::STANDARD.encode(json),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json),
        ] {
            assert_eq!(
                decode(&text).map(|found: AuthConfig| found.username).as_deref(),
                Some("a?>"),
                "{text}"
            );
        }
        assert_eq!(decode("e30="), Some(AuthConfig::default()));
        assert_eq!(decode::<AuthConfig>("%%%"), None);
    }
}
