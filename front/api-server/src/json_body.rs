//! Reads JSON bodies: the first value of the text, with Docker's words where it can't be read.

use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::{json_syntax, type_error};

/// The document in a body.
///
/// # Errors
/// 400 for broken JSON, values of wrong types, and more than one value.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // Whatever is wrong is looked for only when something is.
    api::decode(body).or_else(|_| decode_carefully(body).map_err(|message| Failure::new(400, message)))
}

/// The first value of a body, as calls read it that do without Docker's checks: 500 where it can't be read, and whatever
/// comes after it does not matter.
///
/// # Errors
/// 500 for no JSON, broken JSON, and values of wrong types.
pub(crate) fn decode_plainly<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let wrong = |message: String| Failure::new(500, message);
    if body.trim_ascii().is_empty() {
        return Err(wrong("EOF".to_owned()));
    }
    let end = json_syntax::value_end(body).map_err(|error| wrong(error.to_string()))?;
    let value = body.get(..end).unwrap_or(body);
    api::decode(&repaired(value)).map_err(|error| wrong(type_error::wording::<T>(&error)))
}

fn decode_carefully<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let end = json_syntax::value_end(body).map_err(|wrong| format!("invalid JSON: {wrong}"))?;
    let (value, rest) = body.split_at_checked(end).unwrap_or((body, b""));
    let document = api::decode(&repaired(value))
        .map_err(|error| format!("invalid JSON: {}", type_error::wording::<T>(&error)))?;
    // Docker takes closing brackets too many for the end.
    match rest.trim_ascii_start().first() {
        None | Some(b'}' | b']') => Ok(document),
        Some(_) => Err("unexpected content after JSON".to_owned()),
    }
}

/// The text with U+FFFD in place of bytes that are no UTF-8 and of escaped halves of surrogate pairs, as Docker reads it.
fn repaired(value: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(value);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        out.push_str(before);
        let length = escape_length(escape);
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(if is_lone_surrogate(escape) { "\\ufffd" } else { escape });
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}

/// Bytes of the escape at the beginning; both halves of a surrogate pair are one.
fn escape_length(text: &str) -> usize {
    match (surrogate(text), text.get(6..).and_then(surrogate)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
        _ if text.starts_with("\\u") => 6,
        _ => 2,
    }
}

fn is_lone_surrogate(escape: &str) -> bool {
    escape.len() == 6 && surrogate(escape).is_some()
}

/// The half of a surrogate pair that stands escaped at the beginning.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok().filter(|code| (0xd800..=0xdfff).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(body: &[u8]) -> String {
        match decode::<api::volume::CreateRequest>(body) {
            Ok(document) => document.name,
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn the_first_value_is_read() {
        for (body, said) in [
            (&br#"{"Name":"x"}"#[..], "x"),
            (br#"{"Name":"x"} }]"#, "x"),
            (br#"{"Name":"x"}x"#, "unexpected content after JSON"),
            (br#"{"Name":"x"} {}"#, "unexpected content after JSON"),
            (br#"{"Name":"x""#, "invalid JSON: unexpected EOF"),
            (b" ", "invalid JSON: got EOF while reading request body"),
            (
                br#"{"Name":5,}"#,
                "invalid JSON: invalid character '}' looking for beginning of object key string",
            ),
            (
                br#"{"Name":5} x"#,
                "invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Name of type string",
            ),
            (
                b"5 x",
                "invalid JSON: json: cannot unmarshal number into Go value of type volume.CreateOptions",
            ),
        ] {
            assert_eq!(name(body), said, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_is_read_plainly_fails_as_the_engine_would() {
        for (body, said) in [
            ("", "EOF"),
            (r#"{"Username": "#, "unexpected EOF"),
            ("[]", "json: cannot unmarshal array into Go value of type registry.AuthConfig"),
            (
                r#"{"username":1}"#,
                "json: cannot unmarshal number into Go struct field AuthConfig.username of type string",
            ),
        ] {
            let failure = decode_plainly::<api::system::AuthConfig>(body.as_bytes()).unwrap_err();
            assert_eq!((failure.status(), failure.to_string().as_str()), (500, said), "{body}");
        }
        for body in ["{} x", "null"] {
            assert_eq!(decode_plainly(body.as_bytes()).ok(), Some(api::system::AuthConfig::default()));
        }
    }

    #[test]
    fn what_is_no_character_becomes_the_replacement() {
        for (body, said) in [
            (&b"{\"Name\":\"a\xffb\"}"[..], "a\u{fffd}b"),
            (br#"{"Name":"\ud800"}"#, "\u{fffd}"),
            (br#"{"Name":"\ud83d\ude00\ude00"}"#, "\u{1f600}\u{fffd}"),
            (br#"{"Name":"\\ud800\ud800x"}"#, "\\ud800\u{fffd}x"),
        ] {
            assert_eq!(name(body), said, "{}", String::from_utf8_lossy(body));
        }
    }
}
