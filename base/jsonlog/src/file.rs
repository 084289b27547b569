//! One file of a log, plain or compressed, read line by line.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::Error;
use crate::rotation::{Identity, numbered, zipped};

/// An open file of a log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Its own; nobody else has it while the file is open.
    inode: u64,
    pub(crate) compressed: bool,
    /// What it was before it was compressed, where it says so.
    was: Option<Identity>,
}

impl LogFile {
    /// Opens the plain file at a path; nothing when there is none.
    pub(crate) fn plain(path: &Path) -> Result<Option<Self>, Error> {
        let Some(file) = open(path)? else { return Ok(None) };
        let inode = file.metadata().map_err(|source| read_error(path, source))?.ino();
        Ok(Some(Self { path: path.to_owned(), file, inode, compressed: false, was: None }))
    }

    /// Opens the file that was moved aside as the `number`th.
    pub(crate) fn aside(log: &Path, number: u32) -> Result<Option<Self>, Error> {
        // The plain one first: while it exists the compressed one may be of another turn.
        if let Some(file) = Self::plain(&numbered(log, number))? {
            return Ok(Some(file));
        }
        let path = zipped(log, number);
        let Some(file) = open(&path)? else { return Ok(None) };
        let inode = file.metadata().map_err(|source| read_error(&path, source))?.ino();
        let was = original(&file);
        Ok(Some(Self { path, file, inode, compressed: true, was }))
    }

    /// Whether both are the same part of the log, one of them perhaps compressed since it was opened.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let was = |compressed: &Self, plain: &Self| {
            compressed.was.is_some_and(|was| Identity::of(&plain.file).is_ok_and(|now| now == was))
        };
        match (self.compressed, other.compressed) {
            (true, false) => was(self, other),
            (false, true) => was(other, self),
            _ => self.inode == other.inode,
        }
    }

    /// Whether the log is written to another file by now.
    pub(crate) fn is_turned(&self, log: &Path) -> bool {
        self.compressed || std::fs::symlink_metadata(log).map_or(true, |found| found.ino() != self.inode)
    }

    /// Bytes in the file now.
    pub(crate) fn size(&self) -> Result<u64, Error> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|source| read_error(&self.path, source))
    }

    /// The text from an offset on. The offset of a compressed file counts decompressed bytes.
    pub(crate) fn lines(&self, offset: u64) -> Result<Lines, Error> {
        let failed = |source| read_error(&self.path, source);
        let file = self.file.try_clone().map_err(failed)?;
        let source: Box<dyn Read> = if self.compressed {
            let mut decoder = MultiGzDecoder::new(At { file, offset: 0 });
            io::copy(&mut (&mut decoder).take(offset), &mut io::sink()).map_err(failed)?;
            Box::new(decoder)
        } else {
            Box::new(At { file, offset })
        };
        Ok(Lines { source, path: self.path.clone(), buffer: Vec::new(), from: 0, to: 0 })
    }
}

/// A file read at an offset of its own, since clones of a descriptor share one.
struct At {
    file: File,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// The lines of a file in a buffer that is used over and over.
pub(crate) struct Lines {
    source: Box<dyn Read>,
    path: PathBuf,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// A line longer than this is no record of any writer and is passed over.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

impl Lines {
    /// Reads more; false at the end of the file. More may come later.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.to == self.buffer.len() {
            if self.to >= LONGEST_LINE {
                self.to = 0;
            }
            self.buffer.resize((self.buffer.len() * 2).clamp(CHUNK, LONGEST_LINE), 0);
        }
        let length =
            self.source.read(&mut self.buffer[self.to..]).map_err(|source| read_error(&self.path, source))?;
        self.to += length;
        Ok(length > 0)
    }

    /// The next whole line in the buffer, without its newline.
    pub(crate) fn next_line(&mut self) -> Option<&mut [u8]> {
        let length = memchr::memchr(b'\n', &self.buffer[self.from..self.to])?;
        let start = self.from;
        self.from += length + 1;
        Some(&mut self.buffer[start..start + length])
    }
}

fn open(path: &Path) -> Result<Option<File>, Error> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Open { path: path.to_owned(), source }),
    }
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}

/// What the gzip header's extra field says.
fn original(file: &File) -> Option<Identity> {
    let mut head = [0u8; 256];
    let length = file.read_at(&mut head, 0).ok()?;
    let flags = *head[..length].get(3)?;
    if flags & 4 == 0 {
        return None;
    }
    let size = usize::from(u16::from_le_bytes([*head.get(10)?, *head.get(11)?]));
    serde_json::from_slice(head[..length].get(12..12 + size)?).ok()
}
