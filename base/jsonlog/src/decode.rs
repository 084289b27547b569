//! One line of the file as a record, decoded in place.

use std::ops::Range;

use crate::clock::{self, Clock};
use crate::{Stream, compact};

/// One record, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which output it came from.
    pub stream: Stream,
    /// The text, with its newline unless it is part of a longer line.
    pub log: &'a [u8],
    /// When it was written, as the file spells it.
    pub time: &'a str,
    /// The attributes as a JSON object; empty when there are none.
    pub attributes: &'a str,
}

impl Record<'_> {
    /// When it was written, in nanoseconds since 1970.
    pub fn nanoseconds(&self) -> Option<i64> {
        clock::parse(self.time)
    }
}

/// Where the parts of a decoded line are.
struct Parts {
    stream: Stream,
    log: Range<usize>,
    time: Range<usize>,
    attributes: Range<usize>,
}

/// Where decoding puts what can't stay in the line.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    foreign: Foreign,
    clock: Clock,
    time: Vec<u8>,
}

/// What a line of another writer (spaces, another order) is decoded into.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Foreign {
    log: String,
    stream: String,
    time: String,
    attrs: Option<Box<serde_json::value::RawValue>>,
}

const HEAD: &[u8] = b"{\"log\":\"";
const TIME: &[u8] = b",\"time\":\"";

/// Decodes a line without its newline. The line is overwritten with its own decoded text, which is never longer.
/// `scratch` keeps what could not be decoded in place. A line that is no record gives nothing.
pub(crate) fn decode<'a>(line: &'a mut [u8], scratch: &'a mut Scratch) -> Option<Record<'a>> {
    if let Some(head) = compact::head(line) {
        return decode_compact(line, head, scratch);
    }
    match parts(line) {
        Some(parts) => {
            let length = unescape(&mut line[parts.log.clone()])?;
            let start = parts.log.start;
            let line: &'a [u8] = line;
            Some(Record {
                stream: parts.stream,
                log: &line[start..start + length],
                time: std::str::from_utf8(&line[parts.time]).ok()?,
                attributes: std::str::from_utf8(&line[parts.attributes]).ok()?,
            })
        }
        None => decode_foreign(line, &mut scratch.foreign),
    }
}

fn decode_compact<'a>(
    line: &'a mut [u8],
    head: compact::Head,
    scratch: &'a mut Scratch,
) -> Option<Record<'a>> {
    scratch.time.clear();
    scratch.clock.spell(head.nanoseconds, &mut scratch.time);
    let mut start = compact::HEAD;
    if head.ended {
        // The newline is not in the line; the head has room for one more byte in front.
        line.copy_within(start.., start - 1);
        *line.last_mut()? = b'\n';
        start -= 1;
    }
    let line: &'a [u8] = line;
    let time = std::str::from_utf8(&scratch.time).ok()?;
    Some(Record { stream: head.stream, log: line.get(start..)?, time, attributes: "" })
}

fn decode_foreign<'a>(line: &[u8], foreign: &'a mut Foreign) -> Option<Record<'a>> {
    *foreign = serde_json::from_slice(line).ok()?;
    let stream = match foreign.stream.as_str() {
        "stdout" | "" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let attributes = foreign.attrs.as_deref().map_or("", serde_json::value::RawValue::get);
    Some(Record { stream, log: foreign.log.as_bytes(), time: &foreign.time, attributes })
}

/// The time of a line, without decoding the rest.
pub(crate) fn time_of(line: &[u8]) -> Option<i64> {
    if let Some(head) = compact::head(line) {
        return i64::try_from(head.nanoseconds).ok();
    }
    let time = time_range(line)?;
    clock::parse(std::str::from_utf8(&line[time]).ok()?)
}

fn time_range(line: &[u8]) -> Option<Range<usize>> {
    let end = line.len().checked_sub(2).filter(|end| &line[*end..] == b"\"}")?;
    let start = memchr::memrchr(b'"', &line[..end])? + 1;
    line[..start].ends_with(TIME).then_some(start..end)
}

/// Finds the parts of a line as our writer and Docker's write it, from both ends. Quotes within a string always have a
/// backslash before them, so the fixed pieces with their quotes cannot be part of the text.
fn parts(line: &[u8]) -> Option<Parts> {
    const STDOUT: &[u8] = b"\",\"stream\":\"stdout\"";
    const STDERR: &[u8] = b"\",\"stream\":\"stderr\"";
    let time = time_range(line)?;
    let body = line[..time.start - TIME.len()].strip_prefix(HEAD)?;
    let (at, stream, attributes) = if let Some(rest) = body.strip_suffix(STDOUT) {
        (rest.len(), Stream::Stdout, 0..0)
    } else if let Some(rest) = body.strip_suffix(STDERR) {
        (rest.len(), Stream::Stderr, 0..0)
    } else {
        let at = end_of_string(body)?;
        let (mark, rest) = body[at..].split_at_checked(STDOUT.len())?;
        let stream = match mark {
            STDOUT => Stream::Stdout,
            STDERR => Stream::Stderr,
            _ => return None,
        };
        let object = rest.strip_prefix(b",\"attrs\":")?;
        let from = HEAD.len() + body.len() - object.len();
        (at, stream, from..from + object.len())
    };
    Some(Parts { stream, log: HEAD.len()..HEAD.len() + at, time, attributes })
}

/// Where the quote is that ends a string whose inside begins the text.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Replaces the escapes of a string's inside by what they stand for and gives the new length.
fn unescape(text: &mut [u8]) -> Option<usize> {
    let Some(mut from) = memchr::memchr(b'\\', text) else { return Some(text.len()) };
    let mut to = from;
    while from < text.len() {
        // Here is a backslash.
        let letter = *text.get(from + 1)?;
        let plain = match letter {
            b'n' => b'\n',
            b'"' | b'\\' | b'/' => letter,
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (taken, given) = unescape_unicode(text, from, to)?;
                (from, to) = (from + taken, to + given);
                (from, to) = copy_plain(text, from, to);
                continue;
            }
            _ => return None,
        };
        text[to] = plain;
        (from, to) = copy_plain(text, from + 2, to + 1);
    }
    Some(to)
}

/// Moves what comes before the next backslash.
fn copy_plain(text: &mut [u8], from: usize, to: usize) -> (usize, usize) {
    let length = memchr::memchr(b'\\', &text[from..]).unwrap_or(text.len() - from);
    text.copy_within(from..from + length, to);
    (from + length, to + length)
}

/// `\u00e4`, or two of them for characters beyond the first 65536; gives how much was read and written.
fn unescape_unicode(text: &mut [u8], from: usize, to: usize) -> Option<(usize, usize)> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(text.get(at + 2..at + 6)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(from)?;
    let mut taken = 6;
    let mut code = first;
    if (0xd800..0xdc00).contains(&first) && text.get(from + 6..from + 8) == Some(b"\\u") {
        let second = unit(from + 6)?;
        if (0xdc00..0xe000).contains(&second) {
            code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            taken = 12;
        }
    }
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    let given = character.encode_utf8(text.get_mut(to..to + character.len_utf8())?).len();
    Some((taken, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(Stream, &[u8], &str, &str)>) {
        let mut bytes = line.as_bytes().to_vec();
        let mut scratch = Scratch::default();
        let record = decode(&mut bytes, &mut scratch);
        let record = record.map(|record| (record.stream, record.log, record.time, record.attributes));
        assert_eq!(record, expected, "{line}");
    }

    #[test]
    fn lines() {
        use Stream::{Stderr, Stdout};
        check(r#"{"log":"a\n","stream":"stdout","time":"T"}"#, Some((Stdout, b"a\n", "T", "")));
        check(r#"{"log":"","stream":"stderr","time":"T"}"#, Some((Stderr, b"", "T", "")));
        check(
            r#"{"log":"\"\\\r\t\u0001\u003c\u00e4\ud83d\ude00\n","stream":"stderr","time":"T"}"#,
            Some((Stderr, "\"\\\r\t\u{1}<\u{e4}\u{1f600}\n".as_bytes(), "T", "")),
        );
        check(
            r#"{"log":"a\"b","stream":"stdout","attrs":{"k":"v\"","l":"m"},"time":"T"}"#,
            Some((Stdout, b"a\"b", "T", r#"{"k":"v\"","l":"m"}"#)),
        );
        check(
            r#"{ "time": "T", "stream": "stderr", "log": "x\n", "attrs": {"a": "b"} }"#,
            Some((Stderr, b"x\n", "T", r#"{"a": "b"}"#)),
        );
        check(
            r#"{"log":"\",\"stream\":\"stdout","stream":"stderr","time":"T"}"#,
            Some((Stderr, br#"","stream":"stdout"#, "T", "")),
        );
        check(
            r#"{"log":"\ud800x","stream":"stdout","time":"T"}"#,
            Some((Stdout, "\u{fffd}x".as_bytes(), "T", "")),
        );
        for torn in [
            "",
            "{",
            r#"{"log":"a"#,
            r#"{"log":"a\n","stream":"stdout","time":"#,
            "\0\0\0",
            r#"{"log":"\q","stream":"stdout","time":"T"}"#,
        ] {
            check(torn, None);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let texts: Vec<Vec<u8>> = vec![
            (0u8..128).collect(),
            "\u{2028}\u{2029}\u{1f600} <&>".as_bytes().to_vec(),
            b"\\u0041\\n".to_vec(),
        ];
        for text in texts {
            let mut line = HEAD.to_vec();
            crate::encode::escape(&text, &mut line);
            line.extend_from_slice(br#"","stream":"stdout","time":"T"}"#);
            let mut scratch = Scratch::default();
            assert_eq!(decode(&mut line, &mut scratch).unwrap().log, text);
        }
    }
}
