//! Compresses a stream in process; the same bytes always come out the same.

use std::io::{self, Write};

use crate::Compression;
use crate::error::{ArchiveError, Result};

/// Highest level of gzip.
const GZIP_BEST: i32 = 9;
/// Level of gzip when nobody says.
const GZIP_USUAL: i32 = 6;

/// A stream that is compressed while it is written. Without [`Self::finish`] it lacks its end.
pub struct Encoder<W: Write> {
    inner: Inner<W>,
}

enum Inner<W: Write> {
    Plain(W),
    Gzip(Box<flate2::write::GzEncoder<W>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream. A level outside of what there is becomes the nearest one.
    ///
    /// # Errors
    /// For compressions that are only read here.
    pub fn new(out: W, compression: Compression, level: Option<i32>) -> Result<Self> {
        let inner = match compression {
            Compression::None => Inner::Plain(out),
            Compression::Gzip => {
                let level = level.unwrap_or(GZIP_USUAL).clamp(0, GZIP_BEST);
                let level = flate2::Compression::new(level.unsigned_abs());
                Inner::Gzip(Box::new(flate2::write::GzEncoder::new(out, level)))
            }
            Compression::Zstd => {
                let range = zstd::compression_level_range();
                let level = level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, |level| {
                    level.clamp(*range.start().max(&1), *range.end())
                });
                let encoder = zstd::stream::write::Encoder::new(out, level);
                Inner::Zstd(Box::new(encoder.map_err(ArchiveError::Compression)?))
            }
            Compression::Bzip2 | Compression::Xz => {
                let text = "only read here, not written";
                return Err(ArchiveError::Compression(io::Error::new(io::ErrorKind::Unsupported, text)));
            }
        };
        Ok(Self { inner })
    }

    /// Ends the stream and gives the sink back.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.inner {
            Inner::Plain(out) => Ok(out),
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(out) => out.write(bytes),
            Inner::Gzip(encoder) => encoder.write(bytes),
            Inner::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(out) => out.flush(),
            Inner::Gzip(encoder) => encoder.flush(),
            Inner::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::Decoder;

    #[test]
    fn what_is_compressed_is_read_again_and_always_the_same() {
        let text = b"some text that is long enough to be worth it ".repeat(1000);
        let encode = |compression, level| {
            let mut encoder = Encoder::new(Vec::new(), compression, level).expect("starts");
            encoder.write_all(&text).expect("writes");
            encoder.finish().expect("ends")
        };
        for (compression, level) in [
            (Compression::None, None),
            (Compression::Gzip, None),
            (Compression::Gzip, Some(99)),
            (Compression::Zstd, None),
            (Compression::Zstd, Some(-5)),
        ] {
            let bytes = encode(compression, level);
            assert_eq!(bytes, encode(compression, level), "{compression:?}");
            let mut decoder = Decoder::new(&*bytes).expect("starts");
            assert_eq!(decoder.compression(), compression);
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).expect("reads");
            assert!(out == text, "{compression:?} {level:?}");
        }
        assert!(encode(Compression::Gzip, Some(9)).len() < encode(Compression::Gzip, Some(0)).len());
        assert!(Encoder::new(Vec::new(), Compression::Xz, None).is_err());
    }
}
