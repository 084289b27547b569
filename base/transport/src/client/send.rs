//! Bodies of requests that are more than a few bytes: streams in chunks, and parts of files.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};
use std::sync::Arc;

use super::Socket;

/// Called with the bytes sent so far; an error stops the sending.
pub type Sent = Arc<dyn Fn(u64) -> std::io::Result<()> + Send + Sync>;

/// A part of a file as the body of a request; it can be sent again when a kept connection was gone.
#[derive(Clone)]
pub struct FileBody {
    /// The file; its position does not matter.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Told how far it is.
    pub sent: Sent,
}

/// Bytes that go out between two calls of [`FileBody::sent`].
const PIECE: u64 = 512 * 1024;

impl FileBody {
    /// A whole file, without anybody being told how far it is.
    ///
    /// # Errors
    /// When its length cannot be had.
    pub fn whole(file: File) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), offset: 0, length, sent: Arc::new(|_| Ok(())) })
    }

    /// Sends it; the bytes do not come through this process.
    pub(super) fn send(&self, socket: &Socket) -> std::io::Result<()> {
        let mut offset = self.offset;
        let end = self.offset + self.length;
        while offset < end {
            let piece = usize::try_from((end - offset).min(PIECE)).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(socket, &*self.file, Some(&mut offset), piece) {
                Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "the file became shorter")),
                Ok(_) => (self.sent)(offset - self.offset)?,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "FileBody({}+{})", self.offset, self.length)
    }
}

/// Sends the whole source; the error is the source's own, if it was that which failed.
pub(super) fn write_chunks(mut socket: &Socket, source: &mut dyn Read) -> Result<(), Option<String>> {
    const CHUNK: usize = 64 * 1024;
    // Room for the size line before the data, so that each chunk is one write.
    const LINE: usize = 10;
    let mut buffer = vec![0; LINE + CHUNK + 2];
    loop {
        let data = buffer.get_mut(LINE..LINE + CHUNK).unwrap_or_default();
        let count = match source.read(data) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| Some(error.to_string()))?,
        };
        if count == 0 {
            return socket.write_all(b"0\r\n\r\n").map_err(|_| None);
        }
        let line = format!("{count:x}\r\n");
        let start = LINE - line.len();
        let end = LINE + count;
        if let Some(place) = buffer.get_mut(start..LINE) {
            place.copy_from_slice(line.as_bytes());
        }
        if let Some(place) = buffer.get_mut(end..end + 2) {
            place.copy_from_slice(b"\r\n");
        }
        socket.write_all(buffer.get(start..end + 2).unwrap_or_default()).map_err(|_| None)?;
    }
}
