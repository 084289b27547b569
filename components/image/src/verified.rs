//! A stream that fails at its end when its bytes do not have the digest they should have.

use std::io::{self, Read};

use oci::Digest;
use oci::digest::Digester;

/// The uncompressed tar of a layer from its blob's bytes; it fails at its end when it does not have this diff id.
/// Decompressing and hashing run in a thread of their own.
pub fn unpacked(blob: impl Read + Send + 'static, diff_id: Digest) -> io::Result<Box<dyn Read + Send>> {
    let stream = Verified::new(archive::Decoder::new(blob)?, diff_id);
    Ok(Box::new(archive::pipe::ahead(stream)?))
}

/// Passes bytes through and compares their digest at the end.
pub(crate) struct Verified<R> {
    source: R,
    digester: Option<Digester>,
    expected: Digest,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(source: R, expected: Digest) -> Self {
        let digester = Some(Digester::new(expected.algorithm()));
        Self { source, digester, expected }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if count > 0 {
            if let Some(digester) = &mut self.digester {
                digester.update(buffer.get(..count).unwrap_or_default());
            }
            return Ok(count);
        }
        match self.digester.take() {
            Some(digester) if !buffer.is_empty() => {
                let found = digester.finish();
                if found == self.expected {
                    return Ok(0);
                }
                let error = crate::ImageError::Mismatch { expected: self.expected.clone(), found };
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            digester => {
                self.digester = digester;
                Ok(0)
            }
        }
    }
}
