//! Writing records, with rotation at the configured size.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::compact;
use crate::encode::escape;
use crate::rotation::Rotation;
use crate::{Error, LONGEST, Stream};

/// How a log is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// A file that has reached this many bytes is moved aside; 0 for never.
    pub max_size: u64,
    /// How many files are kept, the one being written included; 0 counts as 1.
    pub max_files: u32,
    /// Whether files moved aside are compressed.
    pub compress: bool,
    /// How records are spelled.
    pub format: Format,
    /// Written into each record as `attrs`; the compact format has none.
    pub attributes: BTreeMap<String, String>,
}

/// How records are spelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines of JSON: the `json-file` driver.
    #[default]
    Json,
    /// Frames with the bytes as they came: the `local` driver.
    Compact,
}

/// The one writer of a log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Bytes in the file, all of whole records.
    size: u64,
    max_size: u64,
    rotation: Rotation,
    format: Format,
    /// Encoded and not yet written; made with the first record, so that a silent container costs nothing.
    buffer: Vec<u8>,
    /// The end of the line so far without newline, by stream.
    partial: [Vec<u8>; 2],
    /// `,"attrs":{...}`, or nothing.
    attributes: Vec<u8>,
    clock: Clock,
    /// The present call's time: `,"time":"..."}` and newline, or the letters of the compact format.
    stamp: Vec<u8>,
}

/// The buffer is written when it holds this much: large enough to make calls rare, small beside the shim's budget.
const FULL: usize = 16 * 1024;

impl Writer {
    /// Opens a log to go on at its end; a line torn by a crash is closed off first.
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let mut writer = Self {
            path: path.to_owned(),
            file: None,
            size: 0,
            max_size: options.max_size,
            format: options.format,
            rotation: Rotation::new(path, options.max_files, options.compress),
            buffer: Vec::new(),
            partial: [Vec::new(), Vec::new()],
            attributes: encode_attributes(&options.attributes),
            clock: Clock::new(),
            stamp: Vec::new(),
        };
        writer.reopen()?;
        Ok(writer)
    }

    /// Takes what a stream gave. Whole lines are in the file when this returns; the beginning of a line waits for its
    /// end. After an error the writer can be used on: what was not written is lost, nothing else.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Error> {
        self.begin();
        let result = self.split(stream, bytes).and_then(|()| self.write_out());
        self.buffer.clear();
        result
    }

    /// Writes the begun line of a stream that has ended.
    pub fn end(&mut self, stream: Stream) -> Result<(), Error> {
        let partial = std::mem::take(&mut self.partial[index(stream)]);
        if partial.is_empty() {
            return Ok(());
        }
        self.begin();
        let result = self.record(stream, &partial).and_then(|()| self.write_out());
        self.buffer.clear();
        result
    }

    /// Ends both streams and waits for a running compression.
    pub fn close(mut self) -> Result<(), Error> {
        let results = [self.end(Stream::Stdout), self.end(Stream::Stderr)];
        self.rotation.finish();
        results.into_iter().collect()
    }

    fn begin(&mut self) {
        self.stamp.clear();
        if self.format == Format::Compact {
            return compact::stamp(Clock::nanoseconds(), &mut self.stamp);
        }
        self.stamp.extend_from_slice(b",\"time\":\"");
        self.clock.now(&mut self.stamp);
        self.stamp.extend_from_slice(b"\"}\n");
    }

    fn split(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let begun = self.partial[index(stream)].len();
            let room = (LONGEST - begun).min(rest.len());
            let end = memchr::memchr(b'\n', &rest[..room]).map(|at| at + 1);
            let (text, after) = rest.split_at(end.unwrap_or(room));
            if end.is_none() && begun + room < LONGEST {
                self.partial[index(stream)].extend_from_slice(text);
                return Ok(());
            }
            rest = after;
            if begun == 0 && end.is_some() {
                self.record(stream, text)?;
            } else {
                self.joined(stream, text)?;
            }
        }
        Ok(())
    }

    /// The line begun earlier with more text. Where it is cut for its length, a character stays in one piece.
    fn joined(&mut self, stream: Stream, text: &[u8]) -> Result<(), Error> {
        // Taken out, so that its memory is given back: most lines come whole.
        let mut line = std::mem::take(&mut self.partial[index(stream)]);
        line.extend_from_slice(text);
        let whole = line.len() - begun_character(&line);
        self.partial[index(stream)].extend_from_slice(&line[whole..]);
        self.record(stream, &line[..whole])
    }

    /// Encodes one record of the given text; before it, a full file makes place for a new one.
    fn record(&mut self, stream: Stream, text: &[u8]) -> Result<(), Error> {
        if self.max_size > 0 && self.size + self.buffer.len() as u64 >= self.max_size {
            self.write_out()?;
            self.rotate()?;
        }
        match self.format {
            Format::Json => self.json(stream, text),
            Format::Compact => compact::encode(stream, &self.stamp, text, &mut self.buffer),
        }
        if self.buffer.len() >= FULL { self.write_out() } else { Ok(()) }
    }

    fn json(&mut self, stream: Stream, text: &[u8]) {
        self.buffer.extend_from_slice(b"{\"log\":\"");
        escape(text, &mut self.buffer);
        self.buffer.extend_from_slice(match stream {
            Stream::Stdout => b"\",\"stream\":\"stdout\"",
            Stream::Stderr => b"\",\"stream\":\"stderr\"",
        });
        self.buffer.extend_from_slice(&self.attributes);
        self.buffer.extend_from_slice(&self.stamp);
    }

    fn write_out(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let result = file.write_all(&self.buffer);
        match result {
            Ok(()) => {
                self.size += self.buffer.len() as u64;
                self.buffer.clear();
                self.buffer.shrink_to(FULL * 2);
                Ok(())
            }
            Err(source) => {
                // A full disk must not leave half a record before the next one that fits.
                let length = file.metadata().map_or(0, |metadata| metadata.len());
                let _ = file.set_len(self.size.min(length));
                self.buffer.clear();
                Err(Error::Write { path: self.path.clone(), source })
            }
        }
    }

    fn rotate(&mut self) -> Result<(), Error> {
        self.file = None;
        let moved = self.rotation.turn();
        self.reopen()?;
        moved.map_err(|source| Error::Rotate { path: self.path.clone(), source })
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let opened = open_to_append(&self.path);
        let (file, size) = opened.map_err(|source| Error::Open { path: self.path.clone(), source })?;
        self.file = Some(file);
        self.size = size;
        Ok(())
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// How many bytes at the end of a text are the beginning of a character that goes on.
fn begun_character(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(3)..];
    let Some(lead) = tail.iter().rposition(|byte| byte & 0xc0 != 0x80) else { return 0 };
    let length = match tail[lead] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let present = tail.len() - lead;
    if present < length { present } else { 0 }
}

fn open_to_append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0u8];
        file.seek(SeekFrom::Start(size - 1))?;
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

fn encode_attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        out.extend_from_slice(if out.is_empty() { b",\"attrs\":{\"" } else { b",\"" });
        escape(key.as_bytes(), &mut out);
        out.extend_from_slice(b"\":\"");
        escape(value.as_bytes(), &mut out);
        out.push(b'"');
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out
}
