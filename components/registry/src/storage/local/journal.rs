//! Commits that are durable before the tables are: records one behind the other in a file of a fixed size.
//!
//! ```text
//! file:    record record record (zeros, or what an earlier round left)
//! record:  length u32 | number u64 | SHA-256 of number and text | text: JSON list of changes
//! ```
//! Numbers grow by one and are never used again. The tables hold the number of the last record that is in them, in the
//! same transaction, so that after a crash each one is applied once; a record that is not whole was never acknowledged.
//! The space is written once, when the file is made: making a record durable is one wait for the disk, and never changes
//! the file's metadata.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes of the file: what is in it the tables hold in memory too, until they write it themselves.
pub(super) const SIZE: u64 = 256 * 1024;
/// A longer record goes to the tables at once.
const LONGEST: usize = 64 * 1024;
const HEAD: usize = 4 + 8 + 32;

/// A change of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    /// Whether it is a small blob, else a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) blob: bool,
    pub(super) key: String,
    /// Its value; none takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Box<RawValue>>,
}

/// A record as it was read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) rows: Vec<Row>,
}

/// The file, and where the next record goes.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    at: u64,
    next: u64,
}

impl Journal {
    /// Opens or makes the file; `applied` is the last record that the tables hold. Answers the records they lack.
    pub(super) fn open(path: &Path, applied: u64) -> io::Result<(Self, Vec<Record>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path)?;
        let mut content = Vec::new();
        file.by_ref().take(SIZE).read_to_end(&mut content)?;
        let mut records = read(&content);
        // Those behind a gap belong to other tables than these.
        if records.first().is_some_and(|first| first.number > applied + 1) {
            records.clear();
        }
        records.retain(|record| record.number > applied);
        if file.metadata()?.len() != SIZE {
            file.set_len(0)?;
            file.write_all_at(&vec![0; usize::try_from(SIZE).unwrap_or_default()], 0)?;
            file.sync_all()?;
            store::file::sync_parent(path)?;
        }
        let next = records.last().map_or(applied, |record| record.number) + 1;
        Ok((Self { file, at: 0, next }, records))
    }

    /// The number that the next record has.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// A second descriptor, for those that wait for the disk.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes a record; false when there is no place for it.
    pub(super) fn append(&mut self, rows: &[Row]) -> io::Result<bool> {
        let record = encode(self.next, rows)?;
        let length = record.len() as u64;
        if record.len() > LONGEST || self.at + length > SIZE {
            return Ok(false);
        }
        self.file.write_all_at(&record, self.at)?;
        self.at += length;
        self.next += 1;
        Ok(true)
    }

    /// Where it stands, for [`Self::take_back`].
    pub(super) fn mark(&self) -> (u64, u64) {
        (self.at, self.next)
    }

    /// The next record takes the place and number of the one that was written since the mark.
    pub(super) fn take_back(&mut self, (at, next): (u64, u64)) {
        (self.at, self.next) = (at, next);
    }

    /// Begins again at the start: all records are in the tables, durably, with `number` as the last.
    pub(super) fn restart(&mut self, number: u64) {
        self.at = 0;
        self.next = number + 1;
    }
}

fn encode(number: u64, rows: &[Row]) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(rows)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let mut record = Vec::with_capacity(HEAD + text.len());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&checksum(number, &text));
    record.extend_from_slice(&text);
    Ok(record)
}

/// The whole records from the start on, as long as their numbers follow one another.
fn read(mut content: &[u8]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while let Some((record, rest)) = split(content) {
        if records.last().is_some_and(|last| record.number != last.number + 1) {
            break;
        }
        records.push(record);
        content = rest;
    }
    records
}

fn split(content: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = content.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<32>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let number = u64::from_le_bytes(*number);
    if *sum != checksum(number, text) {
        return None;
    }
    Some((Record { number, rows: serde_json::from_slice(text).ok()? }, rest))
}

fn checksum(number: u64, text: &[u8]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&number.to_le_bytes());
    context.update(text);
    let mut sum = [0; 32];
    sum.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    sum
}
