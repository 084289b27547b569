//! A stream that fails at its end when its bytes do not have the digest they should have.

use std::io::{self, Read};

use oci::Digest;
use oci::digest::Digester;

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
