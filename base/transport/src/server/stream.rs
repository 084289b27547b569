//! An answer written piece by piece, in chunks, of a known length, or until the connection ends.

use std::io::{self, IoSlice, Write};
use std::os::unix::net::UnixStream;

use super::exchange::Progress;
use super::sendfile;

/// How the client knows where an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// Bytes still to be written.
    Sized(u64),
}

/// Writes an answer piece by piece; every `write` is one record that the client sees at once.
#[derive(Debug)]
pub struct StreamWriter<'e> {
    pub(super) socket: &'e UnixStream,
    pub(super) framing: Framing,
    /// Nothing but the head is sent.
    pub(super) silent: bool,
    pub(super) progress: &'e mut Progress,
}

impl<'e> StreamWriter<'e> {
    /// Ends the answer; without it the connection is closed, so that the client sees the answer is cut.
    ///
    /// # Errors
    /// What writing to the client gives.
    pub fn finish(self) -> io::Result<()> {
        let mut socket = self.socket;
        match self.framing {
            Framing::Chunked if !self.silent => socket.write_all(b"0\r\n\r\n")?,
            Framing::Sized(left) if left > 0 && !self.silent => return Err(io::ErrorKind::WriteZero.into()),
            _ => {}
        }
        *self.progress = Progress::Finished;
        Ok(())
    }

    /// Sends the first `count` bytes of a file as one record; they do not come through this process.
    ///
    /// # Errors
    /// When the file is shorter, and what writing to the client gives.
    pub fn send_file(&mut self, file: &std::fs::File, count: u64) -> io::Result<()> {
        if count == 0 || self.silent {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Chunked => {
                let size = format!("{count:x}\r\n");
                sendfile::send(self.socket, size.as_bytes(), file, 0..count)?;
                let mut socket = self.socket;
                return socket.write_all(b"\r\n");
            }
            Framing::UntilClose => {}
            Framing::Sized(left) if *left < count => return Err(io::ErrorKind::WriteZero.into()),
            Framing::Sized(left) => *left -= count,
        }
        sendfile::send(self.socket, &[], file, 0..count)
    }

    /// The client's socket, for those that write many bytes by themselves.
    pub fn socket(&self) -> &'e UnixStream {
        self.socket
    }
}

impl Write for StreamWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.silent {
            return Ok(bytes.len());
        }
        let mut socket = self.socket;
        match &mut self.framing {
            Framing::Chunked => {}
            Framing::UntilClose => return socket.write(bytes),
            Framing::Sized(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let count = socket.write(bytes.get(..most).unwrap_or_default())?;
                *left -= count as u64;
                return Ok(count);
            }
        }
        let size = format!("{:x}\r\n", bytes.len());
        let mut parts = [IoSlice::new(size.as_bytes()), IoSlice::new(bytes), IoSlice::new(b"\r\n")];
        write_all_vectored(socket, &mut parts)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a head and a body at once where the kernel takes them.
pub(super) fn write_both(socket: &UnixStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    write_all_vectored(socket, &mut [IoSlice::new(head), IoSlice::new(body)])
}

fn write_all_vectored(mut socket: &UnixStream, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match socket.write_vectored(parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut parts, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
