//! Decompresses what comes from outside, and stops when a little claims to be a lot.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ImageError;
use crate::error::Result;
use crate::limits::Expansion;

/// The uncompressed bytes of a stream, as long as their number is in proportion.
pub(crate) struct Inflated<R: Read> {
    decoder: archive::Decoder<Counted<R>>,
    taken: Arc<AtomicU64>,
    given: u64,
    limit: Expansion,
}

impl<R: Read> Inflated<R> {
    pub(crate) fn new(source: R, limit: Expansion) -> Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        let decoder = archive::Decoder::new(Counted { source, taken: Arc::clone(&taken) })?;
        Ok(Self { decoder, taken, given: 0, limit })
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.given += count as u64;
        let taken = self.taken.load(Ordering::Relaxed);
        let most = taken.saturating_mul(self.limit.ratio).max(self.limit.allowance);
        if self.given > most {
            let what = format!("{taken} compressed bytes, unpacked,");
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                ImageError::TooLarge { what, limit: most },
            ));
        }
        Ok(count)
    }
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
