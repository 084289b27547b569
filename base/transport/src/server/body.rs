//! The body of a request: by length or chunked, read only when asked for.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::head::RequestHead;
use super::pace::Pace;

/// Bytes of a chunk's size line, or of one trailer line.
const MAX_LINE: usize = 8 * 1024;
/// Trailer lines after the last chunk.
const MAX_TRAILERS: usize = 64;

/// Why a request's body can't be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The length headers contradict one another, or are no numbers.
    #[error("malformed or contradicting body length")]
    Length,
    /// A transfer coding other than chunked.
    #[error("unsupported transfer encoding")]
    Coding,
}

/// How much of a body is left, and how it is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Length(u64),
    /// So many bytes of the present chunk, then its line end; before the first chunk, zero without line end.
    Chunk { left: u64, line_end: bool },
    /// All read.
    Done,
}

/// Where reading a body stands.
#[derive(Debug)]
pub(crate) struct BodyState {
    framing: Framing,
    /// The client waits for `100 Continue`.
    continue_pending: bool,
    /// The length the client promised.
    pub(crate) announced: Option<u64>,
    /// How slowly it may come.
    pace: Option<Pace>,
    /// Reading failed: nothing more can be had of it.
    broken: bool,
}

impl BodyState {
    /// Reads the framing out of the head. Both kinds of framing at once are refused: a proxy in between could see
    /// another request than we do.
    pub(crate) fn of(head: &RequestHead) -> Result<Self, FramingError> {
        let mut length = None;
        for value in head.headers("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value: u64 = value.parse().ok().filter(|_| digits).ok_or(FramingError::Length)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(FramingError::Length);
            }
            length = Some(value);
        }
        let mut codings = head.headers("transfer-encoding");
        let framing = match (codings.next(), length) {
            (Some(_), Some(_)) => return Err(FramingError::Length),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() => {
                Framing::Chunk { left: 0, line_end: false }
            }
            (Some(_), None) => return Err(FramingError::Coding),
            (None, None | Some(0)) => Framing::Done,
            (None, Some(length)) => Framing::Length(length),
        };
        let expects = head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        let continue_pending = expects && framing != Framing::Done;
        Ok(Self { framing, continue_pending, announced: length, pace: None, broken: false })
    }

    /// The same for a client that may not be slower.
    pub(super) fn at_pace(self, pace: Option<Pace>) -> Self {
        Self { pace, ..self }
    }

    /// Whether reading failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether every byte was read.
    pub(crate) fn is_done(&self) -> bool {
        self.framing == Framing::Done
    }

    /// Whether the client still waits for our word before it sends.
    pub(crate) fn is_unsolicited(&self) -> bool {
        self.continue_pending
    }
}

/// Bytes read from the socket and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            // An idle connection keeps no large buffer.
            if self.bytes.capacity() > 64 * 1024 {
                self.bytes.shrink_to(4096);
            }
        }
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        let unread = self.unread().to_vec();
        *self = Self::default();
        unread
    }

    /// Reads once more from the socket; 0 is the end.
    pub(crate) fn fill(&mut self, mut socket: &UnixStream) -> io::Result<usize> {
        let mut block = [0u8; 8192];
        loop {
            match socket.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.bytes.extend_from_slice(block.get(..count).unwrap_or_default());
                    return Ok(count);
                }
            }
        }
    }
}

/// Reads one request's body; ends with it, not with the connection.
#[derive(Debug)]
pub struct Body<'e> {
    pub(crate) socket: &'e UnixStream,
    pub(crate) buffer: &'e mut Buffer,
    pub(crate) state: &'e mut BodyState,
}

impl Body<'_> {
    /// The whole body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `FileTooLarge` past the limit (nothing is read when the announced length tells already), and what reading gives.
    pub fn read_all(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "request body too large");
        let limit_64 = u64::try_from(limit).unwrap_or(u64::MAX);
        if self.state.announced.is_some_and(|length| length > limit_64) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        self.take(limit_64.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > limit { Err(too_large()) } else { Ok(bytes) }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.state.is_done()
    }

    fn send_continue(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.state.continue_pending) {
            let mut socket = self.socket;
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(())
    }

    /// Bytes of the message itself, ignoring its framing.
    fn read_raw(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let unread = self.buffer.unread();
        let count = if unread.is_empty() {
            let (start, mut socket) = (Instant::now(), self.socket);
            self.paced(start, socket.read(output))?
        } else {
            let count = unread.len().min(output.len());
            output.iter_mut().zip(unread).for_each(|(to, from)| *to = *from);
            self.buffer.consume(count);
            count
        };
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }

    /// Counts what reading from the socket took.
    fn paced(&mut self, start: Instant, result: io::Result<usize>) -> io::Result<usize> {
        match &mut self.state.pace {
            Some(pace) => pace.count(start, result),
            None => result,
        }
    }

    /// One line without its end.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let unread = self.buffer.unread();
            let end = unread.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(unread.len()) > MAX_LINE {
                return Err(malformed());
            }
            if let Some(end) = end {
                let mut line = unread.get(..end).unwrap_or_default().to_vec();
                self.buffer.consume(end + 1);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            let start = Instant::now();
            let result = self.buffer.fill(self.socket);
            if self.paced(start, result)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Moves on to the next chunk; 0 is the last.
    fn next_chunk(&mut self, line_end: bool) -> io::Result<u64> {
        if line_end && !self.read_line()?.is_empty() {
            return Err(malformed());
        }
        let line = self.read_line()?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .ok_or_else(malformed)?;
        if size == 0 {
            for _ in 0..MAX_TRAILERS {
                if self.read_line()?.is_empty() {
                    return Ok(0);
                }
            }
            return Err(malformed());
        }
        Ok(size)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed chunked encoding")
}

impl Read for Body<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let result = self.read_framed(output);
        let interrupted = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
        self.state.broken |= result.as_ref().is_err_and(|error| !interrupted(error));
        result
    }
}

impl Body<'_> {
    fn read_framed(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() || self.state.is_done() {
            return Ok(0);
        }
        self.send_continue()?;
        if let Framing::Chunk { left: 0, line_end } = self.state.framing {
            match self.next_chunk(line_end)? {
                0 => {
                    self.state.framing = Framing::Done;
                    return Ok(0);
                }
                size => self.state.framing = Framing::Chunk { left: size, line_end: true },
            }
        }
        let (Framing::Length(left) | Framing::Chunk { left, .. }) = self.state.framing else {
            return Ok(0);
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(output.len());
        let count = self.read_raw(output.get_mut(..most).unwrap_or_default())?;
        let left = left.saturating_sub(count as u64);
        self.state.framing = match self.state.framing {
            Framing::Chunk { line_end, .. } => Framing::Chunk { left, line_end },
            _ if left == 0 => Framing::Done,
            _ => Framing::Length(left),
        };
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &str, sent: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let text = format!("POST / HTTP/1.1\r\n{headers}\r\n");
        let (head, _) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
        let mut state = BodyState::of(&head).unwrap();
        let (socket, mut client) = UnixStream::pair().unwrap();
        client.write_all(sent).unwrap();
        drop(client);
        let mut buffer = Buffer::default();
        let mut body = Body { socket: &socket, buffer: &mut buffer, state: &mut state };
        let bytes = body.read_all(100)?;
        buffer.fill(&socket).ok();
        Ok((bytes, buffer.take()))
    }

    #[test]
    fn both_framings_end_where_they_should() {
        for (headers, sent, body, rest) in [
            ("", "next", "", "next"),
            ("Content-Length: 3\r\n", "abcnext", "abc", "next"),
            ("Content-Length: 3\r\nContent-Length: 3\r\n", "abc", "abc", ""),
            ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nnext", "abcd", "next"),
            ("Transfer-Encoding: chunked\r\n", "0\r\nTrailer: x\r\n\r\n", "", ""),
        ] {
            let (got, left) = read(headers, sent.as_bytes()).unwrap();
            assert_eq!(
                (got.as_slice(), left.as_slice()),
                (body.as_bytes(), rest.as_bytes()),
                "{headers:?} {sent:?}"
            );
        }
    }

    #[test]
    fn broken_bodies_are_errors() {
        for (headers, sent) in [
            ("Content-Length: 3\r\n", "ab"),
            ("Content-Length: 101\r\n", ""),
            ("Transfer-Encoding: chunked\r\n", "zz\r\n"),
            ("Transfer-Encoding: chunked\r\n", "-1\r\n"),
            ("Transfer-Encoding: chunked\r\n", "3\r\nabcX\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n"),
            ("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\nabc"),
            ("Transfer-Encoding: chunked\r\n", ""),
        ] {
            assert!(read(headers, sent.as_bytes()).is_err(), "{headers:?} {sent:?}");
        }
    }

    #[test]
    fn ambiguous_framings_are_refused() {
        for (headers, error) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", FramingError::Length),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", FramingError::Length),
            ("Content-Length: +3\r\n", FramingError::Length),
            ("Content-Length: 3, 3\r\n", FramingError::Length),
            ("Transfer-Encoding: gzip\r\n", FramingError::Coding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", FramingError::Coding),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\n");
            let (head, _) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!(BodyState::of(&head).unwrap_err(), error, "{headers}");
        }
    }
}
