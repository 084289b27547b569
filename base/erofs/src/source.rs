//! Where a tar comes from while it is indexed: a file that stays, or a stream that is copied to one.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileExt;

/// Bytes moved at once.
const BUFFER: usize = 256 << 10;

/// A tar that can be read once from its start, and again at any place that was passed.
pub trait Source: Read {
    /// Bytes passed so far.
    fn position(&self) -> u64;

    /// Passes bytes without looking at them; answers how many there were.
    fn skip(&mut self, bytes: u64) -> io::Result<u64>;

    /// Passes everything that is left. Answers the bytes of the whole tar.
    fn finish(&mut self) -> io::Result<u64>;

    /// Reads bytes that were passed.
    fn read_again(&mut self, start: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A tar in a file.
#[derive(Debug)]
pub struct FileSource {
    file: BufReader<File>,
    position: u64,
    length: u64,
}

impl FileSource {
    /// A file from its start.
    pub fn new(mut file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        file.rewind()?;
        // Mostly single headers are read: of what is between them nothing should be copied.
        Ok(Self { file: BufReader::with_capacity(4096, file), position: 0, length })
    }
}

impl Read for FileSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Source for FileSource {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let bytes = bytes.min(self.length.saturating_sub(self.position));
        self.file.seek_relative(i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?)?;
        self.position += bytes;
        Ok(bytes)
    }

    fn finish(&mut self) -> io::Result<u64> {
        self.position = self.length;
        Ok(self.length)
    }

    fn read_again(&mut self, start: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.get_ref().read_exact_at(buffer, start)
    }
}

/// A stream that is copied to a file, byte by byte the same, while it is read.
#[derive(Debug)]
pub struct CopySource<R> {
    stream: R,
    copy: File,
    buffer: Vec<u8>,
    /// What of the buffer is filled, and where the reader is in it.
    filled: usize,
    next: usize,
    position: u64,
}

impl<R: Read> CopySource<R> {
    /// Copies to a file that is open for reading and writing.
    pub fn new(stream: R, copy: File) -> Self {
        Self { stream, copy, buffer: vec![0; BUFFER], filled: 0, next: 0, position: 0 }
    }

    /// The copy.
    pub fn into_copy(self) -> File {
        self.copy
    }

    /// What can be passed now; empty at the end of the stream.
    fn available(&mut self) -> io::Result<&[u8]> {
        if self.next == self.filled {
            (self.next, self.filled) = (0, 0);
            // A whole buffer at a time, or the copy would be written in the small pieces of the stream.
            while self.filled < self.buffer.len() {
                match self.stream.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(count) => self.filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.copy.write_all(self.buffer.get(..self.filled).unwrap_or_default())?;
        }
        Ok(self.buffer.get(self.next..self.filled).unwrap_or_default())
    }

    fn pass(&mut self, count: usize) {
        self.next += count;
        self.position += count as u64;
    }
}

impl<R: Read> Read for CopySource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.available()?;
        let count = available.read(buffer)?;
        self.pass(count);
        Ok(count)
    }
}

impl<R: Read> Source for CopySource<R> {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let mut left = bytes;
        while left > 0 {
            let available = self.available()?.len();
            if available == 0 {
                break;
            }
            let count = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.pass(count);
            left -= count as u64;
        }
        Ok(bytes - left)
    }

    fn finish(&mut self) -> io::Result<u64> {
        self.skip(u64::MAX)?;
        Ok(self.position)
    }

    fn read_again(&mut self, start: u64, buffer: &mut [u8]) -> io::Result<()> {
        // What was passed has been written: a buffer is written before anything of it is passed.
        self.copy.read_exact_at(buffer, start)
    }
}
