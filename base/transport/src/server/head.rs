//! The head of a request: method, target, headers, parsed within limits.

use std::borrow::Cow;

/// Bytes of a request head, line and headers together.
pub const MAX_HEAD: usize = 256 * 1024;
/// Header lines of a request.
pub const MAX_HEADERS: usize = 100;

/// A request without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// In upper case, as sent.
    pub method: String,
    /// The path, not decoded.
    pub path: String,
    /// What follows the question mark, not decoded.
    pub query: String,
    /// HTTP/1.1 rather than 1.0.
    pub is_1_1: bool,
    headers: Vec<(String, String)>,
}

/// What a client sends first that speaks HTTP/2 without having asked for it.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A head that can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// No HTTP/1 request.
    #[error("malformed HTTP request")]
    Malformed,
    /// More header lines than [`MAX_HEADERS`] or bytes than [`MAX_HEAD`].
    #[error("request header fields too large")]
    TooLarge,
}

impl RequestHead {
    /// Parses a head; `None` when it isn't complete yet, else the head and its length.
    ///
    /// # Errors
    /// When the bytes can't become a request, or a limit is passed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut lines);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => return Err(HeadError::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(_) => return Err(HeadError::Malformed),
        };
        if length > MAX_HEAD {
            return Err(HeadError::TooLarge);
        }
        let target = request.path.ok_or(HeadError::Malformed)?;
        let (path, query) = split_target(target)?;
        let mut headers = Vec::with_capacity(request.headers.len());
        for line in request.headers.iter() {
            let value = std::str::from_utf8(line.value).map_err(|_| HeadError::Malformed)?;
            headers.push((line.name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let head = Self {
            method: request.method.ok_or(HeadError::Malformed)?.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            is_1_1: request.version == Some(1),
            headers,
        };
        Ok(Some((head, length)))
    }

    /// Stands for the beginning of a connection in HTTP/2, which stays unread: who answers takes the socket, with
    /// [`super::Exchange::surrender`], or the connection ends.
    pub(crate) fn preface() -> Self {
        Self { method: "PRI".to_owned(), path: "*".to_owned(), ..Self::default() }
    }

    /// Whether the client speaks HTTP/2 from the beginning.
    pub fn is_preface(&self) -> bool {
        self.method == "PRI" && self.path == "*" && !self.is_1_1 && self.headers.is_empty()
    }

    /// Stands for a request that could not be read, so that a refusal can be answered.
    pub(crate) fn unread() -> Self {
        Self { is_1_1: true, ..Self::default() }
    }

    /// The first header of a name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// Every header; names in lower case.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every header of a name, which is given in lower case.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.headers.iter().filter(move |(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header holds a word, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// Whether the connection can serve another request after this one.
    pub fn keeps_alive(&self) -> bool {
        match self.is_1_1 {
            true => !self.has_token("connection", "close"),
            false => self.has_token("connection", "keep-alive"),
        }
    }

    /// Whether the client asks for another protocol.
    pub fn wants_upgrade(&self) -> bool {
        self.has_token("connection", "upgrade") && self.header("upgrade").is_some()
    }
}

/// Path and query of `/path?query` or `http://host/path?query`.
fn split_target(target: &str) -> Result<(&str, &str), HeadError> {
    let local = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    if !local.starts_with('/') && local != "*" {
        return Err(HeadError::Malformed);
    }
    let local = local.split_once('#').map_or(local, |(before, _)| before);
    Ok(local.split_once('?').unwrap_or((local, "")))
}

/// Decodes `%41`; with `plus`, `+` is a space. Wrong escapes and bytes that are no UTF-8 give `None`.
pub fn percent_decode(text: &str, plus: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_parse() {
        let text = b"GET http://x/v1.41/a%2Fb?c=d HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: tcp\r\n\r\nrest";
        let (head, length) = RequestHead::parse(text).unwrap().unwrap();
        assert_eq!(&text[length..], b"rest");
        assert_eq!((head.path.as_str(), head.query.as_str()), ("/v1.41/a%2Fb", "c=d"));
        assert!(head.wants_upgrade() && head.keeps_alive());
        assert_eq!(RequestHead::parse(b"GET / HT"), Ok(None));
    }

    #[test]
    fn wrong_heads_are_refused() {
        for text in [
            "\0",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET x HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
        ] {
            assert_eq!(RequestHead::parse(text.as_bytes()), Err(HeadError::Malformed), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(RequestHead::parse(many.as_bytes()), Err(HeadError::TooLarge));
        let long = format!("GET /{}", "a".repeat(MAX_HEAD));
        assert_eq!(RequestHead::parse(long.as_bytes()), Err(HeadError::TooLarge));
    }

    #[test]
    fn escapes_decode() {
        assert_eq!(percent_decode("a%20b+c", true).unwrap(), "a b c");
        assert_eq!(percent_decode("a+c", false).unwrap(), "a+c");
        for text in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decode(text, true), None, "{text}");
        }
    }
}
