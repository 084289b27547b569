//! One request with its way to answer: parameters, body, JSON answers, streams.

use std::io::Write;
use std::sync::Arc;

use api::ApiVersion;
use api::image::Progress;
use engine::Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::server::{Exchange, Hijacked, ResponseHead, StreamWriter};

use crate::buildkit::Doors;
use crate::failure::Failure;
use crate::json_body::decode;
use crate::query::Query;

/// A handler; it answers by itself and returns what went wrong before an answer began.
pub(crate) type Action = fn(&mut Call<'_, '_>) -> Result<(), Failure>;

/// Bytes of a JSON body at most.
pub(crate) const MAX_JSON: usize = 16 << 20;

/// A request on its way through a handler.
pub(crate) struct Call<'x, 'c> {
    pub(crate) engine: &'x Engine,
    /// BuildKit's services.
    pub(crate) doors: &'x Arc<Doors>,
    pub(crate) exchange: &'x mut Exchange<'c>,
    /// The version the path names, or the newest.
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    parameters: Vec<String>,
    /// Headers that every answer carries.
    standard: &'x [(String, String)],
}

impl<'x, 'c> Call<'x, 'c> {
    pub(crate) fn new(
        engine: &'x Engine,
        doors: &'x Arc<Doors>,
        exchange: &'x mut Exchange<'c>,
        version: ApiVersion,
        parameters: Vec<String>,
        standard: &'x [(String, String)],
    ) -> Self {
        let query = Query::parse(&exchange.head.query);
        Self { engine, doors, exchange, version, query, parameters, standard }
    }

    /// The first parameter of the path: the name or id of a thing.
    pub(crate) fn name(&self) -> String {
        self.parameters.first().cloned().unwrap_or_default()
    }

    /// A head with the headers that every answer carries.
    pub(crate) fn head(&self, status: u16) -> ResponseHead {
        ResponseHead { status, headers: self.standard.to_vec() }
    }

    /// Answers with a JSON document.
    pub(crate) fn json(&mut self, status: u16, document: &impl Serialize) -> Result<(), Failure> {
        let body = encode(document)?;
        let head = self.head(status).content_type(api::stream::JSON);
        Ok(self.exchange.respond(&head, &body)?)
    }

    /// Answers with a list of documents that are encoded already, each ended by LF.
    pub(crate) fn json_list<T: AsRef<[u8]>>(&mut self, status: u16, items: &[T]) -> Result<(), Failure> {
        let length = items.iter().map(|item| item.as_ref().len()).sum::<usize>();
        let mut body = Vec::with_capacity(length + 4);
        body.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let item = item.as_ref();
            body.extend_from_slice(item.strip_suffix(b"\n").unwrap_or(item));
        }
        body.extend_from_slice(b"]\n");
        let head = self.head(status).content_type(api::stream::JSON);
        Ok(self.exchange.respond(&head, &body)?)
    }

    /// Answers without a body.
    pub(crate) fn empty(&mut self, status: u16) -> Result<(), Failure> {
        let head = self.head(status);
        Ok(self.exchange.respond(&head, b"")?)
    }

    /// Starts a streamed answer; its head goes out at once.
    pub(crate) fn stream(&mut self, content_type: &str) -> Result<StreamWriter<'_>, Failure> {
        let head = self.head(200).content_type(content_type);
        Ok(self.exchange.stream(&head)?)
    }

    /// Takes the connection over for raw bytes.
    pub(crate) fn hijack(&mut self, content_type: &str) -> std::io::Result<Hijacked> {
        self.exchange.hijack(content_type, &[])
    }

    /// The JSON body; no body at all is the document's zero value.
    pub(crate) fn read_json<T: DeserializeOwned + Default>(&mut self) -> Result<T, Failure> {
        let body = self.read_json_bytes()?;
        if body.is_empty() { Ok(T::default()) } else { decode(&body) }
    }

    /// The JSON body as it came, checked for its type.
    pub(crate) fn read_json_bytes(&mut self) -> Result<Vec<u8>, Failure> {
        self.check_content_type()?;
        Ok(self.exchange.body()?.read_all(MAX_JSON)?)
    }

    fn check_content_type(&mut self) -> Result<(), Failure> {
        let given = self.exchange.head.header("content-type").unwrap_or_default().to_owned();
        if given.is_empty() && self.exchange.body()?.is_empty() {
            return Ok(());
        }
        let kind = given.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(api::stream::JSON) {
            return Ok(());
        }
        Err(Failure::new(
            400,
            format!("unsupported Content-Type header ({given}): must be 'application/json'"),
        ))
    }

    /// Answers a failure, unless the answer has begun: then the connection is cut, which the client sees.
    pub(crate) fn refuse(&mut self, failure: &Failure) {
        if failure.is_gone() || self.exchange.has_started() {
            return self.exchange.close_after();
        }
        let outcome = match failure.status() {
            304 => self.empty(304),
            413 => {
                self.exchange.close_after();
                self.json(413, &message(failure))
            }
            status => self.json(status, &message(failure)),
        };
        if outcome.is_err() {
            self.exchange.close_after();
        }
    }
}

fn message(failure: &Failure) -> api::error::ErrorResponse {
    api::error::ErrorResponse { message: failure.to_string() }
}

/// A document as answered: one line, ended by LF.
pub(crate) fn encode(document: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut body = serde_json::to_vec(document).map_err(|error| Failure::new(500, error.to_string()))?;
    body.push(b'\n');
    Ok(body)
}

/// Writes a line of progress. Until 1.52 the bar went along as text, for clients that draw none; as wide as Docker's, which
/// has no terminal either.
pub(crate) fn write_progress(
    output: &mut impl Write,
    progress: &Progress,
    version: ApiVersion,
) -> std::io::Result<()> {
    const WIDTH: usize = 200;
    let mut shown = progress.clone();
    if let Some(detail) = progress.progress_detail.as_ref().filter(|_| version.below(52)) {
        let bar = terminal::progress::Progress {
            current: detail.current,
            total: detail.total,
            units: &detail.units,
            hide_counts: detail.hide_counts,
            seconds: 0,
        };
        shown.progress = bar.text(WIDTH, |bytes| terminal::amount::size(bytes as f64));
    }
    write_record(output, &shown, "\r\n")
}

/// Writes one document of a stream, with its line end.
pub(crate) fn write_record(
    output: &mut impl Write,
    document: &impl Serialize,
    end: &str,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(document).map_err(std::io::Error::other)?;
    line.extend_from_slice(end.as_bytes());
    output.write_all(&line)
}
