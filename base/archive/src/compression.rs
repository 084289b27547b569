//! Finds out how a stream is compressed, and decompresses it in process.

use std::io::{self, BufRead, BufReader, Read};

use crate::error::{ArchiveError, Result};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, also of several members.
    Gzip,
    /// zstd.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// Memory a zstd stream may ask for, as a power of two (128 MiB, what registries' images stay below).
const ZSTD_WINDOW_LOG: u32 = 27;
/// Bytes read at once.
const BUFFER: usize = 128 << 10;
/// Bytes needed to know the compression.
const MAGIC: usize = 6;

impl Compression {
    /// From the first bytes of a stream (six are enough).
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

/// The uncompressed bytes of a stream.
pub struct Decoder<R: Read> {
    compression: Compression,
    inner: Inner<Start<R>>,
}

/// The stream with its first bytes, which were looked at, before the rest.
type Start<R> = BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>;

enum Inner<S: BufRead> {
    Plain(S),
    Gzip(Box<flate2::bufread::MultiGzDecoder<S>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, S>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<S>>),
    Xz(Box<lzma_rust2::XzReader<S>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of a stream and decompresses accordingly.
    pub fn new(mut source: R) -> Result<Self> {
        let mut start = Vec::with_capacity(MAGIC);
        (&mut source).take(MAGIC as u64).read_to_end(&mut start).map_err(ArchiveError::Read)?;
        let compression = Compression::detect(&start);
        let source = BufReader::with_capacity(BUFFER, io::Cursor::new(start).chain(source));
        let inner = match compression {
            Compression::None => Inner::Plain(source),
            Compression::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(source))),
            Compression::Bzip2 => Inner::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(source))),
            Compression::Xz => Inner::Xz(Box::new(lzma_rust2::XzReader::new(source, true))),
            Compression::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(source).map_err(ArchiveError::Compression)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(ArchiveError::Compression)?;
                Inner::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { compression, inner })
    }

    /// What was found.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(source) => source.read(buffer),
            Inner::Gzip(decoder) => decoder.read(buffer),
            Inner::Zstd(decoder) => decoder.read(buffer),
            Inner::Bzip2(decoder) => decoder.read(buffer),
            Inner::Xz(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The text of the test, as `xz` compresses it.
    const XZ: &str = "\
        fd377a585a000004e6d6b4460200210116000000742fe5a3e0afc700735d00399bc9f2e750b8c5e25da5d4fb90\
        d72af6178a38cee8506b3f7e03469102438e7be02fbd747c2f0624bcd4cfbaf42f4b2a0f96f798e3648a598ce9\
        183cd19247e35dd6160fe47501bfbf6d7cffa57fd81dcd230731794060e21d08870c59ca88b35905d9ab708fc6\
        63423e1ad1366a161e000000001bd8f33dc559f0a700018f01c8df0200068dc916b1c467fb020000000004595a";

    fn from_hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    }

    #[test]
    fn every_compression_is_found_and_undone() {
        let text = b"some text that is long enough to be worth it ".repeat(1000);
        let gzip = |bytes: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        };
        let (first, second) = text.split_at(1000);
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&text).unwrap();
        for (bytes, compression) in [
            (text.clone(), Compression::None),
            (gzip(&text), Compression::Gzip),
            ([gzip(first), gzip(second)].concat(), Compression::Gzip),
            (zstd::encode_all(&*text, 1).unwrap(), Compression::Zstd),
            (bzip2.finish().unwrap(), Compression::Bzip2),
            (from_hex(XZ), Compression::Xz),
        ] {
            let mut decoder = Decoder::new(&*bytes).unwrap();
            assert_eq!(decoder.compression(), compression);
            let mut out = Vec::new();
            decoder.read_to_end(&mut out).unwrap();
            assert!(out == text, "{compression:?}");
            if compression != Compression::None {
                let cut = bytes.get(..bytes.len() / 2).unwrap();
                assert!(Decoder::new(cut).unwrap().read_to_end(&mut Vec::new()).is_err(), "{compression:?}");
            }
        }
        assert_eq!(Decoder::new(&b""[..]).unwrap().read(&mut [0; 4]).unwrap(), 0);
    }
}
