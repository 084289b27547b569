//! Texts made fit for URLs.

/// A text made fit for a query.
pub fn escape(text: &str) -> String {
    escape_but(text, b"-._~")
}

/// A text made fit for a path: slashes stay.
pub fn escape_path(text: &str) -> String {
    escape_but(text, b"-._~/")
}

fn escape_but(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
