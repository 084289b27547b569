//! Reading what a container has written, in the form clients get it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use jsonlog::{Record, Sink, Stream};
use model::{ErrorKind, Kinded};

pub use jsonlog::{Follow, Query};

/// Bytes collected before they go out.
const FULL: usize = 64 << 10;
const FRAME_HEADER: usize = 8;

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Each with Docker's eight-byte header (containers without a terminal).
    pub framed: bool,
    /// Each after its time, with nine fractional digits.
    pub timestamps: bool,
    /// Each after its attributes.
    pub details: bool,
}

/// A log can't be delivered.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be read.
    #[error("the log can't be read")]
    Read(#[from] jsonlog::Error),
    /// The client takes no more.
    #[error("the log can't be delivered")]
    Deliver(#[source] io::Error),
}

impl Kinded for LogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Deliver(_) => ErrorKind::Cancelled,
        }
    }
}

/// Writes the wanted part of a log to a client; with `follow` also what comes until it says so.
///
/// # Errors
/// When the log can't be read or the client takes no more.
pub fn deliver(
    path: &Path,
    query: &Query,
    form: Form,
    follow: Option<&Follow<'_>>,
    client: &mut dyn Write,
) -> Result<(), LogError> {
    let mut delivery =
        Delivery { form, client, buffer: Vec::with_capacity(FULL + (20 << 10)), failure: None };
    jsonlog::read(path, query, follow, &mut delivery)?;
    let _ = delivery.idle();
    match delivery.failure {
        Some(failure) => Err(LogError::Deliver(failure)),
        None => Ok(()),
    }
}

struct Delivery<'a> {
    form: Form,
    client: &'a mut dyn Write,
    buffer: Vec<u8>,
    failure: Option<io::Error>,
}

impl Delivery<'_> {
    fn flush(&mut self) -> ControlFlow<()> {
        if self.buffer.is_empty() {
            return ControlFlow::Continue(());
        }
        let written = self.client.write_all(&self.buffer).and_then(|()| self.client.flush());
        self.buffer.clear();
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Sink for Delivery<'_> {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        append(&mut self.buffer, self.form, record);
        if self.buffer.len() >= FULL { self.flush() } else { ControlFlow::Continue(()) }
    }

    fn idle(&mut self) -> ControlFlow<()> {
        self.flush()
    }
}

fn append(buffer: &mut Vec<u8>, form: Form, record: &Record<'_>) {
    let start = buffer.len();
    if form.framed {
        let stream = match record.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        buffer.extend_from_slice(&[stream, 0, 0, 0, 0, 0, 0, 0]);
    }
    if form.timestamps {
        append_time(buffer, record.time);
    }
    if form.details {
        append_details(buffer, record.attributes);
    }
    buffer.extend_from_slice(record.log);
    if form.framed {
        let length = u32::try_from(buffer.len() - start - FRAME_HEADER).unwrap_or(u32::MAX);
        buffer[start + 4..start + FRAME_HEADER].copy_from_slice(&length.to_be_bytes());
    }
}

/// The file leaves out zeros at the end of a fraction; clients get nine digits and a blank.
fn append_time(buffer: &mut Vec<u8>, time: &str) {
    let time = time.strip_suffix('Z').unwrap_or(time);
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    buffer.extend_from_slice(seconds.as_bytes());
    buffer.push(b'.');
    buffer.extend((0..9).map(|place| fraction.as_bytes().get(place).copied().unwrap_or(b'0')));
    buffer.extend_from_slice(b"Z ");
}

/// `key=value,key=value `, sorted, escaped as in a query.
fn append_details(buffer: &mut Vec<u8>, attributes: &str) {
    let attributes: BTreeMap<String, String> = serde_json::from_str(attributes).unwrap_or_default();
    for (number, (key, value)) in attributes.iter().enumerate() {
        if number > 0 {
            buffer.push(b',');
        }
        escape(buffer, key);
        buffer.push(b'=');
        escape(buffer, value);
    }
    buffer.push(b' ');
}

fn escape(buffer: &mut Vec<u8>, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => buffer.push(byte),
            b' ' => buffer.push(b'+'),
            _ => buffer.extend_from_slice(&[
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, expected: &[u8]) {
        let record = Record {
            stream: Stream::Stderr,
            log: b"hi\n",
            time: "2026-01-02T03:04:05.06Z",
            attributes: r#"{"b":"x y","a":"1/2"}"#,
        };
        let mut buffer = b"before".to_vec();
        append(&mut buffer, form, &record);
        assert_eq!(String::from_utf8_lossy(&buffer[6..]), String::from_utf8_lossy(expected));
    }

    #[test]
    fn records_get_what_was_asked_for() {
        let plain = Form::default();
        check(plain, b"hi\n");
        check(Form { framed: true, ..plain }, b"\x02\0\0\0\0\0\0\x03hi\n");
        check(Form { timestamps: true, ..plain }, b"2026-01-02T03:04:05.060000000Z hi\n");
        check(Form { details: true, ..plain }, b"a=1%2F2,b=x+y hi\n");
        let all = Form { framed: true, timestamps: true, details: true };
        check(
            all,
            b"\x02\0\0\0\0\0\0\x30"
                .iter()
                .chain(b"2026-01-02T03:04:05.060000000Z a=1%2F2,b=x+y hi\n")
                .copied()
                .collect::<Vec<u8>>()
                .as_slice(),
        );
    }

    #[test]
    fn a_log_is_delivered_whole() {
        let directory = std::env::temp_dir().join(format!("wharf-logs-{}", model::id::random_hex()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("json.log");
        let mut writer = jsonlog::Writer::open(&path, jsonlog::Options::default()).unwrap();
        writer.write(Stream::Stdout, b"one\ntwo\n").unwrap();
        writer.write(Stream::Stderr, b"three").unwrap();
        writer.close().unwrap();
        let mut out = Vec::new();
        deliver(&path, &Query::default(), Form::default(), None, &mut out).unwrap();
        assert_eq!(out, b"one\ntwo\nthree");
        out.clear();
        let query = Query { tail: Some(1), ..Query::default() };
        deliver(&path, &query, Form { framed: true, ..Form::default() }, None, &mut out).unwrap();
        assert_eq!(out, b"\x02\0\0\0\0\0\0\x05three");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
