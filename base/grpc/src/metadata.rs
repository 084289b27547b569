//! What travels beside the messages of a call: names with values, text or bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::status::decode_base64;

/// Names and values of one call, in order; a name may come more than once. Names ending in `-bin` carry bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<(String, Vec<u8>)>,
}

impl Metadata {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a value. Values that no header can carry are left out when the call is sent.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.entries.push((name.to_ascii_lowercase(), value.into()));
    }

    /// The first value of a name, when it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All values of a name that are text.
    pub fn texts<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.values(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// All values of a name.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.entries.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.entries {
            let encoded = if name.ends_with("-bin") {
                STANDARD_NO_PAD.encode(value).into_bytes()
            } else {
                value.clone()
            };
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&encoded))
            {
                headers.append(name, value);
            }
        }
    }

    pub(crate) fn read_from(headers: &HeaderMap) -> Self {
        let mut metadata = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            if matches!(name, "content-type" | "te") || name.starts_with("grpc-") {
                continue;
            }
            if !name.ends_with("-bin") {
                metadata.push(name, value.as_bytes());
                continue;
            }
            for part in value.as_bytes().split(|byte| *byte == b',') {
                if let Some(bytes) = decode_base64(part.trim_ascii()) {
                    metadata.push(name, bytes);
                }
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_headers_in_their_order() {
        let metadata = Metadata::new()
            .with("include-patterns", "b")
            .with("Include-Patterns", "a")
            .with("key-bin", vec![0, 255, 10]);
        let mut headers = HeaderMap::new();
        metadata.write_to(&mut headers);
        let read = Metadata::read_from(&headers);
        assert_eq!(read.texts("include-patterns").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(read.values("key-bin").collect::<Vec<_>>(), [&[0, 255, 10][..]]);
        assert_eq!(read.iter().count(), 3);
    }

    #[test]
    fn a_value_cannot_start_a_new_header() {
        let mut headers = HeaderMap::new();
        Metadata::new().with("a", "x\r\ny: z").with("b c", "x").write_to(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn joined_bytes_are_taken_apart() {
        let mut headers = HeaderMap::new();
        headers.insert("a-bin", HeaderValue::from_static("AQ, Ag==,!"));
        headers.insert("grpc-timeout", HeaderValue::from_static("1S"));
        let read = Metadata::read_from(&headers);
        assert_eq!(read.values("a-bin").collect::<Vec<_>>(), [&[1][..], &[2][..]]);
        assert_eq!(read.text("grpc-timeout"), None);
    }
}
