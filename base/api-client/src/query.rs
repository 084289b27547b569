//! Escaping of paths and queries.

use model::Filters;

/// The query of a request; parameters keep their order.
#[derive(Debug, Clone, Default)]
pub struct Query(String);

impl Query {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more parameter.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl AsRef<str>) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        escape(key, "", &mut self.0);
        self.0.push('=');
        escape(value.as_ref(), "", &mut self.0);
        self
    }

    /// With a parameter that is only sent when the text is not empty.
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.set(key, value) }
    }

    /// With `key=1`, if wanted.
    #[must_use]
    pub fn flag(self, key: &str, on: bool) -> Self {
        if on { self.set(key, "1") } else { self }
    }

    /// With the filters in their JSON form, if there are any.
    #[must_use]
    pub fn filters(self, filters: &Filters) -> Self {
        if filters.is_empty() { self } else { self.set("filters", filters.to_json()) }
    }

    /// The text behind the question mark.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name within a path: slashes and colons stay, as Docker's clients send image names.
pub fn path_escape(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    escape(name, "/:@$&+=~,!", &mut text);
    text
}

fn escape(text: &str, keep: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        let plain =
            byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.as_bytes().contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let query = Query::new().set("a", "b c&d").flag("x", false).flag("y", true).text("z", "");
        assert_eq!(query.as_str(), "a=b%20c%26d&y=1");
        assert_eq!(path_escape("host:5000/a b?#"), "host:5000/a%20b%3F%23");
    }
}
