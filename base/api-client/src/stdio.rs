//! Frames of attach, exec and logs: a byte naming the stream, three zeros, a length, the payload.

use std::io::{Read, Write};

/// Which stream a frame belongs to.
const STDERR: u8 = 2;
const SYSTEM_ERROR: u8 = 3;

/// A framed stream broke off or told a failure.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] std::io::Error),
    /// A frame of a kind that does not exist.
    #[error("Unrecognized input header: {0}")]
    UnknownStream(u8),
    /// The engine reported a failure within the stream.
    #[error("error from daemon in stream: {0}")]
    Reported(String),
}

/// Copies a framed stream to its two outputs until it ends.
///
/// # Errors
/// When the connection breaks, an output fails, or the engine reports a failure in the stream.
pub fn demultiplex(
    source: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), StdioError> {
    let mut buffer = vec![0; PIECE];
    let mut state = Frame::default();
    let mut outputs = Outputs { out, err, held: Vec::new(), holds_error: false };
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        state.feed(buffer.get(..count).unwrap_or_default(), &mut outputs)?;
        outputs.flush()?;
    }
}

/// Bytes read at once.
const PIECE: usize = 128 * 1024;

/// Both outputs; what goes to one of them in a row is written in one call.
struct Outputs<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    held: Vec<u8>,
    holds_error: bool,
}

impl Outputs<'_> {
    fn take(&mut self, is_error: bool, payload: &[u8]) -> std::io::Result<()> {
        if is_error != self.holds_error {
            self.flush()?;
            self.holds_error = is_error;
        }
        self.held.extend_from_slice(payload);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let output = if self.holds_error { &mut *self.err } else { &mut *self.out };
        let written = output.write_all(&self.held).and_then(|()| output.flush());
        self.held.clear();
        written
    }
}

/// The frame being read: its header so far, and what is left of its payload.
#[derive(Default)]
struct Frame {
    header: [u8; 8],
    header_length: usize,
    left: usize,
    report: Vec<u8>,
}

impl Frame {
    fn feed(&mut self, mut bytes: &[u8], outputs: &mut Outputs<'_>) -> Result<(), StdioError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.head(bytes)?;
                continue;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= payload.len();
            bytes = rest;
            if self.header[0] == SYSTEM_ERROR {
                self.report.extend_from_slice(payload);
                if self.left == 0 {
                    outputs.flush()?;
                    return Err(StdioError::Reported(String::from_utf8_lossy(&self.report).into_owned()));
                }
            } else {
                outputs.take(self.header[0] == STDERR, payload)?;
            }
        }
        Ok(())
    }

    /// Takes what there is of a header and gives what follows.
    fn head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], StdioError> {
        let place = self.header.get_mut(self.header_length..).unwrap_or_default();
        let (part, rest) = bytes.split_at(bytes.len().min(place.len()));
        place.get_mut(..part.len()).unwrap_or_default().copy_from_slice(part);
        self.header_length += part.len();
        if self.header_length == self.header.len() {
            let [stream, _, _, _, a, b, c, d] = self.header;
            if stream > SYSTEM_ERROR {
                return Err(StdioError::UnknownStream(stream));
            }
            self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.header_length = 0;
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_reach_their_streams() {
        let mut bytes = Vec::new();
        for (stream, text) in [(1u8, "out"), (2, "err"), (1, "more")] {
            bytes.extend_from_slice(&[stream, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            bytes.extend_from_slice(text.as_bytes());
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        demultiplex(&mut bytes.as_slice(), &mut out, &mut err).unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"outmore"[..], &b"err"[..]));
        assert!(demultiplex(&mut &[9u8, 0, 0, 0, 0, 0, 0, 1, 1][..], &mut out, &mut err).is_err());
    }
}
