//! Bodies of answers: of a known length, in chunks, or until the connection ends.

use std::io::{Read, Result};
use std::sync::Arc;

use super::Socket;
use super::exchange::Pool;

/// A connection with the bytes that were read and not yet taken.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) buffer: Vec<u8>,
    pub(super) taken: usize,
}

const READ_SIZE: usize = 32 * 1024;
/// Lines read behind the last chunk.
const TRAILERS: usize = 64;

impl Connection {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, buffer: Vec::new(), taken: 0 }
    }

    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.buffer.len());
    }

    /// Reads more from the socket behind the pending bytes; 0 at the end.
    pub(super) fn fill(&mut self) -> Result<usize> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        let held = self.buffer.len();
        self.buffer.resize(held + READ_SIZE, 0);
        let result = read_some(&self.socket, self.buffer.get_mut(held..).unwrap_or_default());
        self.buffer.truncate(held + result.as_ref().copied().unwrap_or(0));
        result
    }

    fn take(&mut self, out: &mut [u8], limit: u64) -> Result<usize> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.pending().is_empty() {
            let wanted = out.len().min(limit);
            if wanted >= READ_SIZE {
                // Large reads go past the buffer.
                let place = out.get_mut(..wanted).unwrap_or_default();
                return read_some(&self.socket, place);
            }
            if self.fill()? == 0 {
                return Ok(0);
            }
        }
        let count = self.pending().len().min(out.len()).min(limit);
        out.get_mut(..count)
            .unwrap_or_default()
            .copy_from_slice(self.pending().get(..count).unwrap_or_default());
        self.consume(count);
        Ok(count)
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.pending().iter().position(|byte| *byte == b'\n') {
                let line = self.pending().get(..end).unwrap_or_default().to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.pending().len() > 8192 || self.fill()? == 0 {
                return Err(cut());
            }
        }
    }
}

fn read_some(mut socket: &Socket, place: &mut [u8]) -> Result<usize> {
    loop {
        match socket.read(place) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A limit on waiting shows as "would block".
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "i/o timeout"));
            }
            other => return other,
        }
    }
}

fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "unexpected EOF")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    /// Bytes left in the present chunk; None before a size line.
    Chunked(Option<u64>),
    UntilClose,
    Done,
}

/// Reads one body; when it is read whole, the connection goes back for the next request.
pub struct BodyReader {
    pub(super) kept: Option<Box<dyn std::any::Any + Send>>,
    pub(super) connection: Option<Connection>,
    pub(super) framing: Framing,
    pub(super) pool: Arc<Pool>,
    pub(super) reusable: bool,
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "BodyReader({:?})", self.framing)
    }
}

impl BodyReader {
    fn finish(&mut self) {
        self.framing = Framing::Done;
        self.kept = None;
        if let Some(connection) = self.connection.take()
            && self.reusable
        {
            self.pool.put(connection);
        }
    }

    /// Keeps something until the body is read whole or dropped.
    pub fn keep(&mut self, what: Box<dyn std::any::Any + Send>) {
        if self.connection.is_some() {
            self.kept = Some(what);
        }
    }

    /// A handle with which another thread can end this body early.
    pub fn socket(&self) -> Option<Socket> {
        self.connection.as_ref().map(|connection| connection.socket.clone())
    }

    fn read_chunk(&mut self, left: Option<u64>, out: &mut [u8]) -> Result<usize> {
        let Some(connection) = self.connection.as_mut() else { return Ok(0) };
        let left = match left {
            Some(left) => left,
            None => chunk_size(&connection.line()?)?,
        };
        if left == 0 {
            for _ in 0..TRAILERS {
                if connection.line()?.iter().all(|byte| byte.is_ascii_whitespace()) {
                    self.finish();
                    return Ok(0);
                }
            }
            // An endless trailer is not waited for; the body is whole.
            self.reusable = false;
            self.finish();
            return Ok(0);
        }
        self.framing = Framing::Chunked(Some(left));
        let count = connection.take(out, left)?;
        if count == 0 {
            return Err(cut());
        }
        self.taken(count as u64)?;
        Ok(count)
    }

    /// Bytes of the body left the socket, past the buffer or through it.
    pub(super) fn taken(&mut self, count: u64) -> Result<()> {
        match self.framing {
            Framing::Length(left) => {
                let rest = left.saturating_sub(count);
                self.framing = Framing::Length(rest);
                if rest == 0 {
                    self.finish();
                }
            }
            Framing::Chunked(Some(left)) => {
                let rest = left.saturating_sub(count);
                if rest == 0
                    && let Some(connection) = self.connection.as_mut()
                {
                    connection.line()?;
                }
                self.framing = Framing::Chunked((rest > 0).then_some(rest));
            }
            Framing::Chunked(None) | Framing::UntilClose | Framing::Done => {}
        }
        Ok(())
    }
}

fn chunk_size(line: &[u8]) -> Result<u64> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "malformed chunked encoding"))
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        match self.framing {
            Framing::Done | Framing::Length(0) => {
                self.finish();
                Ok(0)
            }
            Framing::Chunked(left) => self.read_chunk(left, out),
            Framing::Length(left) => {
                let Some(connection) = self.connection.as_mut() else { return Ok(0) };
                let count = connection.take(out, left)?;
                if count == 0 {
                    return Err(cut());
                }
                self.taken(count as u64)?;
                Ok(count)
            }
            Framing::UntilClose => {
                let Some(connection) = self.connection.as_mut() else { return Ok(0) };
                connection.take(out, u64::MAX)
            }
        }
    }
}
