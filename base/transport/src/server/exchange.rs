//! One request and its answer: read the body, then answer whole, from a file, as a stream, or hand over the socket.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;

use super::body::{Body, BodyState, Buffer};
use super::disconnect::DisconnectWatch;
use super::head::RequestHead;
use super::stream::{Framing, StreamWriter, write_both};
use super::{date, sendfile};

/// Status and headers of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// HTTP status.
    pub status: u16,
    /// Header lines, without the ones that frame the body.
    pub headers: Vec<(String, String)>,
}

impl ResponseHead {
    /// A head without headers.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }

    /// The same with one more header. Line breaks in the value are dropped: nothing may add lines to a head.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let mut value: String = value.into();
        value.retain(|letter| !matches!(letter, '\r' | '\n' | '\0'));
        self.headers.push((name.to_owned(), value));
        self
    }

    /// The same with a content type.
    #[must_use]
    pub fn content_type(self, value: &str) -> Self {
        self.with("Content-Type", value)
    }

    fn write_to(&self, reason: &str, output: &mut String) {
        output.push_str("HTTP/1.1 ");
        let _ = write!(output, "{}", self.status);
        output.push(' ');
        output.push_str(reason);
        output.push_str("\r\n");
        for (name, value) in &self.headers {
            output.push_str(name);
            output.push_str(": ");
            output.push_str(value);
            output.push_str("\r\n");
        }
    }
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No byte was sent.
    NotStarted,
    /// The head was sent, the body not all.
    Streaming,
    /// All was sent.
    Finished,
    /// The socket is somebody else's.
    HandedOver,
}

/// A request being answered.
#[derive(Debug)]
pub struct Exchange<'c> {
    /// What was asked.
    pub head: RequestHead,
    socket: &'c mut Option<UnixStream>,
    buffer: &'c mut Buffer,
    body: BodyState,
    keep_alive: bool,
    progress: Progress,
}

/// A socket that speaks HTTP no longer.
#[derive(Debug)]
pub struct Hijacked {
    /// The client's connection; half-closing works on it.
    pub socket: UnixStream,
    /// What the client sent after its request already.
    pub early: Vec<u8>,
}

impl<'c> Exchange<'c> {
    pub(crate) fn new(
        head: RequestHead,
        body: BodyState,
        socket: &'c mut Option<UnixStream>,
        buffer: &'c mut Buffer,
    ) -> Self {
        let keep_alive = head.keeps_alive();
        Self { head, socket, buffer, body, keep_alive, progress: Progress::NotStarted }
    }

    /// The request's body, to be read as it comes.
    ///
    /// # Errors
    /// When the socket was handed over.
    pub fn body(&mut self) -> io::Result<Body<'_>> {
        let socket = self.socket.as_ref().ok_or_else(gone)?;
        Ok(Body { socket, buffer: self.buffer, state: &mut self.body })
    }

    /// Whether a status line was sent already.
    pub fn has_started(&self) -> bool {
        self.progress != Progress::NotStarted
    }

    /// Ends the connection after this answer.
    pub fn close_after(&mut self) {
        self.keep_alive = false;
    }

    /// Answers with a whole body.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn respond(&mut self, head: &ResponseHead, body: &[u8]) -> io::Result<()> {
        self.settle_body();
        let mut text = String::with_capacity(512);
        head.write_to(reason(head.status), &mut text);
        date::push(&mut text);
        if has_body(head.status) {
            push_length(&mut text, body.len() as u64);
        }
        self.push_connection(&mut text);
        text.push_str("\r\n");
        let body = if self.head.method == "HEAD" || !has_body(head.status) { &[] } else { body };
        self.progress = Progress::Finished;
        write_both(self.socket.as_ref().ok_or_else(gone)?, text.as_bytes(), body)
    }

    /// Answers a HEAD with the length that a GET would have.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn respond_length(&mut self, head: &ResponseHead, length: u64) -> io::Result<()> {
        let text = self.sized_head(head, length);
        self.progress = Progress::Finished;
        let mut socket = self.socket.as_ref().ok_or_else(gone)?;
        socket.write_all(text.as_bytes())
    }

    /// Answers with a part of a file, which the kernel copies.
    ///
    /// # Errors
    /// What reading the file or writing to the client gives; the connection is closed then.
    pub fn respond_file(&mut self, head: &ResponseHead, file: &File, range: Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        if self.head.method == "HEAD" {
            return self.respond_length(head, length);
        }
        let text = self.sized_head(head, length);
        self.progress = Progress::Streaming;
        let socket = self.socket.as_ref().ok_or_else(gone)?;
        sendfile::send(socket, text.as_bytes(), file, range)?;
        self.progress = Progress::Finished;
        Ok(())
    }

    /// Starts an answer whose length is known and whose bytes are not yet; all of them have to be written.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn stream_sized(&mut self, head: &ResponseHead, length: u64) -> io::Result<StreamWriter<'_>> {
        let text = self.sized_head(head, length);
        let mut socket = self.socket.as_ref().ok_or_else(gone)?;
        self.progress = Progress::Streaming;
        socket.write_all(text.as_bytes())?;
        let silent = self.head.method == "HEAD";
        Ok(StreamWriter { socket, framing: Framing::Sized(length), silent, progress: &mut self.progress })
    }

    fn sized_head(&mut self, head: &ResponseHead, length: u64) -> String {
        self.settle_body();
        let mut text = String::with_capacity(512);
        head.write_to(reason(head.status), &mut text);
        date::push(&mut text);
        push_length(&mut text, length);
        self.push_connection(&mut text);
        text.push_str("\r\n");
        text
    }

    /// Starts an answer of unknown length; the head goes out at once.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn stream(&mut self, head: &ResponseHead) -> io::Result<StreamWriter<'_>> {
        Ok(self.duplex(head)?.1)
    }

    /// Starts an answer of unknown length while the request's body is still coming.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn duplex(&mut self, head: &ResponseHead) -> io::Result<(Body<'_>, StreamWriter<'_>)> {
        let chunked = self.head.is_1_1;
        if !chunked {
            self.keep_alive = false;
        }
        let mut text = String::with_capacity(512);
        head.write_to(reason(head.status), &mut text);
        date::push(&mut text);
        if chunked {
            text.push_str("Transfer-Encoding: chunked\r\n");
        }
        self.push_connection(&mut text);
        text.push_str("\r\n");
        let mut socket = self.socket.as_ref().ok_or_else(gone)?;
        self.progress = Progress::Streaming;
        socket.write_all(text.as_bytes())?;
        let silent = self.head.method == "HEAD";
        let body = Body { socket, buffer: self.buffer, state: &mut self.body };
        let framing = if chunked { Framing::Chunked } else { Framing::UntilClose };
        Ok((body, StreamWriter { socket, framing, silent, progress: &mut self.progress }))
    }

    /// Takes the socket out of HTTP: `101 UPGRADED` when the client asked for it, else `200 OK` without framing.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn hijack(&mut self, content_type: &str, headers: &[(String, String)]) -> io::Result<Hijacked> {
        let text = if self.head.wants_upgrade() {
            let protocol = self.head.header("upgrade").unwrap_or("tcp");
            let mut head = ResponseHead::new(101).content_type(content_type).with("Connection", "Upgrade");
            head = head.with("Upgrade", protocol);
            head.headers.extend_from_slice(headers);
            let mut text = String::new();
            head.write_to("UPGRADED", &mut text);
            text
        } else {
            let mut head = ResponseHead::new(200).content_type(content_type);
            head.headers.extend_from_slice(headers);
            let mut text = String::new();
            head.write_to("OK", &mut text);
            text
        };
        self.hand_over(&(text + "\r\n"))
    }

    /// Gives the socket away as it is, with all that was read of it.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn surrender(&mut self) -> io::Result<Hijacked> {
        self.hand_over("")
    }

    /// Writes a last head and gives the socket away.
    pub(crate) fn hand_over(&mut self, head: &str) -> io::Result<Hijacked> {
        let mut socket = self.socket.as_ref().ok_or_else(gone)?;
        self.progress = Progress::HandedOver;
        socket.write_all(head.as_bytes())?;
        let socket = self.socket.take().ok_or_else(gone)?;
        Ok(Hijacked { socket, early: self.buffer.take() })
    }

    /// Calls `gone` once, from another thread, when the client closes its side, until the watch is dropped.
    ///
    /// # Errors
    /// When no thread or descriptor is to be had.
    pub fn watch_disconnect(&self, gone_away: impl FnOnce() + Send + 'static) -> io::Result<DisconnectWatch> {
        DisconnectWatch::start(self.socket.as_ref().ok_or_else(gone)?, gone_away)
    }

    /// Finishes the exchange; whether the connection can serve another one.
    pub(crate) fn finish(mut self) -> bool {
        let answered = self.progress == Progress::Finished;
        answered && self.keep_alive && self.drain()
    }

    /// An unread body has to be read or the connection closed; decided before the head tells the client which.
    fn settle_body(&mut self) {
        let long = self.body.announced.is_some_and(|length| length > MAX_DRAIN);
        if !self.body.is_done() && (long || self.body.is_unsolicited() || self.body.is_broken()) {
            self.keep_alive = false;
        }
    }

    fn drain(&mut self) -> bool {
        if self.body.is_done() {
            return true;
        }
        if self.body.is_unsolicited() || self.body.is_broken() {
            return false;
        }
        let Ok(body) = self.body() else { return false };
        let limit = MAX_DRAIN;
        io::copy(&mut io::Read::take(body, limit), &mut io::sink()).is_ok() && self.body.is_done()
    }

    fn push_connection(&self, text: &mut String) {
        if !self.keep_alive {
            text.push_str("Connection: close\r\n");
        } else if !self.head.is_1_1 {
            text.push_str("Connection: keep-alive\r\n");
        }
    }
}

/// Bytes of an unread body that are read and forgotten to keep a connection.
const MAX_DRAIN: u64 = 256 * 1024;

fn push_length(text: &mut String, length: u64) {
    let _ = write!(text, "Content-Length: {length}\r\n");
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection was handed over")
}

fn has_body(status: u16) -> bool {
    !matches!(status, 100..200 | 204 | 304)
}

/// The words of a status line.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        416 => "Requested Range Not Satisfiable",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}
