//! Finding where reading begins: the last so many lines, or the first line at a time.

use std::os::unix::fs::FileExt as _;

use crate::Error;
use crate::decode::time_of;
use crate::file::{LogFile, read_error};

/// The offset at which the last `wanted` lines begin, and how many lines that are. A torn last line does not count.
pub(crate) fn tail(file: &LogFile, wanted: u64) -> Result<(u64, u64), Error> {
    if file.compressed { tail_by_counting(file, wanted) } else { tail_backwards(file, wanted) }
}

fn tail_backwards(file: &LogFile, wanted: u64) -> Result<(u64, u64), Error> {
    const BLOCK: usize = 64 * 1024;
    let mut block = vec![0u8; BLOCK];
    let mut end = file.size()?;
    // The newline that ends the last line begins none.
    let mut newlines = 0u64;
    let mut last_end = None;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let length = usize::try_from(end - start).unwrap_or(BLOCK);
        let part = &mut block[..length];
        file.file.read_exact_at(part, start).map_err(|source| read_error(&file.path, source))?;
        for at in memchr::memrchr_iter(b'\n', part) {
            let place = start + at as u64 + 1;
            last_end.get_or_insert(place);
            if newlines == wanted {
                return Ok((place, wanted));
            }
            newlines += 1;
        }
        end = start;
    }
    match last_end {
        Some(place) if wanted == 0 => Ok((place, 0)),
        Some(_) => Ok((0, newlines)),
        None => Ok((0, 0)),
    }
}

fn tail_by_counting(file: &LogFile, wanted: u64) -> Result<(u64, u64), Error> {
    let mut total = 0u64;
    let mut lines = file.lines(0)?;
    while lines.fill()? {
        while lines.next_line().is_some() {
            total += 1;
        }
    }
    let mut skip = total.saturating_sub(wanted);
    let mut offset = 0u64;
    let mut lines = file.lines(0)?;
    while skip > 0 && lines.fill()? {
        while skip > 0
            && let Some(line) = lines.next_line()
        {
            offset += line.len() as u64 + 1;
            skip -= 1;
        }
    }
    Ok((offset, total.min(wanted)))
}

/// An offset at the start of a line before which every line is older than `since` (nanoseconds since 1970). Bisects a
/// plain file; a compressed one is read from its start.
pub(crate) fn since(file: &LogFile, since: i64) -> Result<u64, Error> {
    const NEAR: u64 = 128 * 1024;
    if file.compressed {
        return Ok(0);
    }
    let (mut low, mut high) = (0, file.size()?);
    let mut probe = vec![0u8; 64 * 1024];
    while high - low > NEAR {
        let middle = low + (high - low) / 2;
        let length =
            file.file.read_at(&mut probe, middle).map_err(|source| read_error(&file.path, source))?;
        match first_time(&probe[..length]) {
            Some((offset, time)) if time < since => low = middle + offset,
            Some(_) => high = middle,
            // No record begins and ends here: read on from where it is surely right.
            None => break,
        }
    }
    Ok(low)
}

/// Offset and time of the first whole record after the first newline.
fn first_time(text: &[u8]) -> Option<(u64, i64)> {
    let mut at = memchr::memchr(b'\n', text)? + 1;
    loop {
        let length = memchr::memchr(b'\n', &text[at..])?;
        if let Some(time) = time_of(&text[at..at + length]) {
            return Some((at as u64, time));
        }
        at += length + 1;
    }
}
