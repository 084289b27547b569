//! Writes a tar stream: ustar headers, PAX records only where ustar is too small.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use crate::error::{ArchiveError, Result};
use crate::header::{self, BLOCK, Header};
use crate::pax::{XATTR, write_record};
use crate::{Entry, EntryKind};

/// Bytes copied at once.
const COPY: usize = 128 << 10;

/// A tar stream in the making. Without [`Self::finish`] it lacks its end.
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Starts a stream.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Appends an entry; `content` must give exactly `entry.size` bytes for a file and is not read for others.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self.append_header(entry)?;
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let mut left = entry.size;
        let mut buffer = vec![0; COPY.min(usize::try_from(left).unwrap_or(COPY)).max(1)];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = match content.read(buffer.get_mut(..wanted).unwrap_or_default()) {
                Ok(0) => return Err(ArchiveError::Truncated),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::Read(error)),
            };
            self.write(buffer.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        self.pad(entry.size)
    }

    /// Appends a file whose content is the first `entry.size` bytes of an open one.
    pub fn append_file(&mut self, entry: &Entry, file: &std::fs::File) -> Result<()>
    where
        W: crate::FileSink,
    {
        self.append_header(entry)?;
        self.out.send_file(file, entry.size).map_err(ArchiveError::Write)?;
        self.pad(entry.size)
    }

    /// Appends an entry that has no content.
    pub fn append_empty(&mut self, entry: &Entry) -> Result<()> {
        self.append(entry, &mut io::empty())
    }

    /// Appends a file of some bytes.
    pub fn append_bytes(&mut self, entry: &Entry, bytes: &[u8]) -> Result<()> {
        let entry = Entry { size: bytes.len() as u64, ..entry.clone() };
        self.append(&entry, &mut &*bytes)
    }

    /// Ends the stream and gives the sink back.
    pub fn finish(mut self) -> Result<W> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(ArchiveError::Write)?;
        Ok(self.out)
    }

    fn append_header(&mut self, entry: &Entry) -> Result<()> {
        let mut records = Vec::new();
        let header = ustar_header(entry, &mut records);
        if !records.is_empty() {
            let mut extended = Header::empty();
            extended.put(header::NAME, b"PaxHeaders.0/entry");
            extended.put_number(header::MODE, 0o644);
            extended.put_number(header::UID, 0);
            extended.put_number(header::GID, 0);
            extended.put_number(header::MTIME, 0);
            extended.put_number(header::SIZE, records.len() as u64);
            extended.put_kind(b'x');
            extended.seal();
            self.write(&extended.0)?;
            self.write(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.write(&header.0)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        let zeros = [0; BLOCK];
        self.write(zeros.get(..usize::try_from(padding).unwrap_or_default()).unwrap_or_default())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(ArchiveError::Write)
    }
}

/// The header of an entry; what does not fit goes to the PAX records.
fn ustar_header(entry: &Entry, records: &mut Vec<u8>) -> Header {
    let mut header = Header::empty();
    let mut path = entry.path.as_os_str().as_bytes().to_vec();
    if entry.kind == EntryKind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    put_path(&mut header, &path, records);
    let link = entry.link.as_bytes();
    header.put(header::LINK, link);
    if link.len() > header::LINK.len() || !link.is_ascii() {
        write_record(records, b"linkpath", link);
    }
    header.put_number(header::MODE, u64::from(entry.mode & 0o7777));
    put_number(&mut header, header::UID, u64::from(entry.uid), b"uid", records);
    put_number(&mut header, header::GID, u64::from(entry.gid), b"gid", records);
    let size = if entry.kind == EntryKind::File { entry.size } else { 0 };
    put_number(&mut header, header::SIZE, size, b"size", records);
    put_time(&mut header, entry, records);
    put_text(&mut header, header::USER, &entry.user, b"uname", records);
    put_text(&mut header, header::GROUP, &entry.group, b"gname", records);
    header.put_number(header::MAJOR, u64::from(entry.device.0));
    header.put_number(header::MINOR, u64::from(entry.device.1));
    header.put_kind(match entry.kind {
        EntryKind::File => b'0',
        EntryKind::HardLink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharacterDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    });
    for (name, value) in &entry.xattrs {
        write_record(records, &[XATTR.as_bytes(), name].concat(), value);
    }
    header.seal();
    header
}

/// A long name is split at a slash into prefix and name where that is possible.
fn put_path(header: &mut Header, path: &[u8], records: &mut Vec<u8>) {
    let name_length = header::NAME.len();
    if path.len() <= name_length {
        header.put(header::NAME, path);
    } else if let Some((prefix, name)) = split_path(path) {
        header.put(header::PREFIX, prefix);
        header.put(header::NAME, name);
    } else {
        header.put(header::NAME, path);
        write_record(records, b"path", path);
        return;
    }
    if !path.is_ascii() {
        write_record(records, b"path", path);
    }
}

fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = path.strip_suffix(b"/").unwrap_or(path);
    let first = path.len().checked_sub(header::NAME.len() + 1)?;
    let slash = body.iter().enumerate().position(|(index, byte)| index >= first && *byte == b'/')?;
    let (prefix, name) = path.split_at_checked(slash)?;
    (slash > 0 && slash <= header::PREFIX.len()).then_some((prefix, name.get(1..)?))
}

fn put_number(header: &mut Header, field: header::Field, number: u64, key: &[u8], records: &mut Vec<u8>) {
    if !header.put_number(field, number) {
        write_record(records, key, number.to_string().as_bytes());
    }
}

fn put_text(header: &mut Header, field: header::Field, text: &str, key: &[u8], records: &mut Vec<u8>) {
    if text.len() < field.len() && text.is_ascii() {
        header.put(field, text.as_bytes());
    } else {
        write_record(records, key, text.as_bytes());
    }
}

fn put_time(header: &mut Header, entry: &Entry, records: &mut Vec<u8>) {
    let fits = u64::try_from(entry.seconds).is_ok_and(|seconds| header.put_number(header::MTIME, seconds));
    if !fits {
        header.put_number(header::MTIME, 0);
    }
    if fits && entry.nanoseconds == 0 {
        return;
    }
    let text = match (entry.seconds, entry.nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (seconds, nanoseconds) if seconds >= 0 => format!("{seconds}.{nanoseconds:09}"),
        (seconds, nanoseconds) => {
            let whole = seconds.saturating_add(1);
            format!("-{}.{:09}", whole.unsigned_abs(), 1_000_000_000 - nanoseconds)
        }
    };
    let text = if entry.nanoseconds == 0 { &text } else { text.trim_end_matches('0') };
    write_record(records, b"mtime", text.as_bytes());
}

#[cfg(test)]
mod tests;
