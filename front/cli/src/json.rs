//! JSON as Go's encoder prints it: `<`, `>` and `&` escaped, four blanks of indent in `inspect`.

use serde_json::Value as Json;

/// One line.
pub(crate) fn go_compact(json: &Json) -> String {
    escape(&serde_json::to_string(json).unwrap_or_default())
}

/// One line without HTML escapes.
pub(crate) fn compact(json: &Json) -> String {
    serde_json::to_string(json).unwrap_or_default()
}

/// Indented by four blanks.
pub(crate) fn go_pretty(json: &Json, escapes: bool) -> String {
    go_indented(json, "    ", escapes)
}

/// Indented as the caller wants.
pub(crate) fn go_indented(json: &impl serde::Serialize, indent: &str, escapes: bool) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    if json.serialize(&mut serializer).is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    if escapes { escape(&text) } else { text }
}

fn escape(text: &str) -> String {
    // These characters only ever stand inside of texts, so that replacing them everywhere is safe.
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
