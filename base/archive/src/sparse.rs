//! Maps of sparse files: where data is in the file; everything else is a hole.

use std::io::Read;

use crate::error::{ArchiveError, Result};
use crate::header::{BLOCK, GNU_EXTENDED, GNU_SPARSE, Header, parse_number};
use crate::limits::Limits;
use crate::pax::SparseKeys;

/// One run of data: offset and length.
pub type Piece = (u64, u64);

const BAD: ArchiveError = ArchiveError::Field { what: "sparse map" };

/// The map in an old GNU header and the extension blocks after it.
pub(crate) fn read_gnu(header: &Header, source: &mut impl Read, limits: &Limits) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    read_table(header.bytes(GNU_SPARSE), &mut pieces, limits)?;
    let mut more = header.0.get(GNU_EXTENDED).copied().unwrap_or_default() != 0;
    while more {
        let mut block = [0; BLOCK];
        source.read_exact(&mut block).map_err(|_| ArchiveError::Truncated)?;
        read_table(block.get(..504).unwrap_or_default(), &mut pieces, limits)?;
        more = block.get(504).copied().unwrap_or_default() != 0;
    }
    Ok(pieces)
}

fn read_table(table: &[u8], pieces: &mut Vec<Piece>, limits: &Limits) -> Result<()> {
    for row in table.chunks_exact(24) {
        let (offset, length) = row.split_at_checked(12).ok_or(BAD)?;
        if offset.iter().all(|byte| *byte == 0) && length.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let number = |bytes| parse_number(bytes).and_then(|number| u64::try_from(number).ok()).ok_or(BAD);
        push(pieces, (number(offset)?, number(length)?), limits)?;
    }
    Ok(())
}

/// The map in PAX records (versions 0.0 and 0.1).
pub(crate) fn from_keys(keys: &SparseKeys, limits: &Limits) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for pair in keys.numbers.chunks(2) {
        let [offset, length] = *pair else { return Err(BAD) };
        push(&mut pieces, (offset, length), limits)?;
    }
    Ok(pieces)
}

/// The map at the start of the content (version 1.0), and the bytes it took.
pub(crate) fn read_content(
    source: &mut impl Read,
    available: u64,
    limits: &Limits,
) -> Result<(Vec<Piece>, u64)> {
    let mut lines = Lines { source, block: Vec::new(), position: 0, used: 0, available };
    let count = lines.number()?;
    if count > limits.sparse_pieces as u64 {
        return Err(ArchiveError::Limit {
            what: "pieces of a sparse file",
            limit: limits.sparse_pieces as u64,
        });
    }
    let mut pieces = Vec::new();
    for _ in 0..count {
        let piece = (lines.number()?, lines.number()?);
        push(&mut pieces, piece, limits)?;
    }
    Ok((pieces, lines.used))
}

struct Lines<'source, R> {
    source: &'source mut R,
    block: Vec<u8>,
    position: usize,
    used: u64,
    available: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for _ in 0..21 {
            match self.byte()? {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => {
                    let next =
                        number.checked_mul(10).and_then(|number| number.checked_add(u64::from(digit - b'0')));
                    number = next.ok_or(BAD)?;
                }
                _ => return Err(BAD),
            }
        }
        Err(BAD)
    }

    fn byte(&mut self) -> Result<u8> {
        if self.position == self.block.len() {
            if self.used + BLOCK as u64 > self.available {
                return Err(BAD);
            }
            self.block.resize(BLOCK, 0);
            self.source.read_exact(&mut self.block).map_err(|_| ArchiveError::Truncated)?;
            self.used += BLOCK as u64;
            self.position = 0;
        }
        self.position += 1;
        self.block.get(self.position - 1).copied().ok_or(BAD)
    }
}

fn push(pieces: &mut Vec<Piece>, piece: Piece, limits: &Limits) -> Result<()> {
    if pieces.len() >= limits.sparse_pieces {
        return Err(ArchiveError::Limit {
            what: "pieces of a sparse file",
            limit: limits.sparse_pieces as u64,
        });
    }
    pieces.push(piece);
    Ok(())
}

/// Pieces must be in order, not overlap, stay in the file, and be exactly the data there is.
pub(crate) fn check(pieces: &[Piece], size: u64, data: u64) -> Result<()> {
    let (mut end, mut total) = (0u64, 0u64);
    for (offset, length) in pieces {
        if *offset < end {
            return Err(BAD);
        }
        end = offset.checked_add(*length).ok_or(BAD)?;
        total = total.checked_add(*length).ok_or(BAD)?;
    }
    if end > size || total != data { Err(BAD) } else { Ok(()) }
}
