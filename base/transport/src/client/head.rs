//! The status line and headers of an answer.

use super::exchange::HttpError;

/// Status and headers; header names keep the case they came in.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The server's words for it.
    pub reason: String,
    headers: Vec<(String, String)>,
}

const MAX_HEADERS: usize = 100;
pub(super) const MAX_HEAD: usize = 256 * 1024;

impl Head {
    /// The value of a header, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of a name.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.headers
            .iter()
            .filter(move |(held, _)| held.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Parses a head at the start of the bytes; None while it is incomplete, else also its length.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HttpError> {
        let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut space);
        match answer.parse(bytes) {
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
                Err(HttpError::Malformed("answer head too long".into()))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Ok(httparse::Status::Complete(length)) => {
                let headers = answer.headers.iter().map(|header| {
                    (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
                });
                let (status, reason) = (answer.code.unwrap_or_default(), answer.reason.unwrap_or_default());
                Ok(Some((Self { status, reason: reason.to_owned(), headers: headers.collect() }, length)))
            }
            Err(error) => Err(HttpError::Malformed(format!("malformed HTTP response: {error}"))),
        }
    }

    /// Whether the body is sent in chunks.
    pub(super) fn is_chunked(&self) -> bool {
        self.header("Transfer-Encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    }

    /// Whether the server ends the connection after this answer.
    pub(super) fn closes(&self) -> bool {
        self.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}
