//! From a layer's tar to a tree, in one pass over the stream.

use archive::error::Result;
use archive::{ArchiveError, Entry, EntryKind, Limits, Reader};

use crate::Source;
use crate::build::Builder;
use crate::format::BLOCK;
use crate::tree::{Content, Run, Tree};
use crate::write::{chunk_bits, chunks};

/// Smallest unit in which contents are copied when their place in the tar does not fit.
const CHUNK: u64 = 4096;
/// Chunks a file may have before larger ones are copied: each needs an entry in the image.
const CHUNKS: u64 = 1 << 16;
/// Bytes of such contents; beyond it an archive is refused.
const PACKED: u64 = 64 << 20;
/// Blocks a device may have: addresses have 32 bits, and all bits set is a hole.
const BLOCKS: u64 = 0xffff_fffe;

/// Reads a layer's tar (uncompressed) to its end. The tree is the one that [`archive::extract`] would make with the
/// options of a layer, and what that refuses is refused here with the same errors.
pub fn index(source: &mut dyn Source, limits: Limits) -> Result<Tree> {
    let mut reader = Reader::new(source, limits);
    let mut builder = Builder::new();
    while let Some(entry) = reader.next_entry()? {
        let pieces = reader.pieces().map(<[_]>::to_vec);
        let (data, padding) = reader.take_content();
        let source = reader.source_mut();
        let start = source.position();
        if source.skip(data).map_err(ArchiveError::Read)? < data {
            return Err(ArchiveError::Truncated);
        }
        let content = match entry.kind {
            EntryKind::File => builder.content(*source, &entry, pieces, start, data)?,
            _ => Content::default(),
        };
        builder.entry(&entry, content)?;
        // Some writers forget the padding of the very last member.
        reader.source_mut().skip(padding).map_err(ArchiveError::Read)?;
    }
    let length = reader.source_mut().finish().map_err(ArchiveError::Read)?;
    if length.div_ceil(BLOCK) > BLOCKS {
        return Err(ArchiveError::Limit { what: "bytes in a layer", limit: BLOCKS * BLOCK });
    }
    Ok(builder.finish(length))
}

impl Builder {
    /// Where the content of a member is.
    fn content(
        &mut self,
        source: &mut dyn Source,
        entry: &Entry,
        pieces: Option<Vec<(u64, u64)>>,
        start: u64,
        data: u64,
    ) -> Result<Content> {
        let size = entry.size;
        let Some(pieces) = pieces else {
            let run = Run { offset: 0, length: data, device: 1, start };
            return Ok(Content { size, runs: if data == 0 { Vec::new() } else { vec![run] } });
        };
        let mut runs = Vec::with_capacity(pieces.len());
        let mut position = start;
        for (offset, length) in pieces {
            if length > 0 {
                runs.push(Run { offset, length, device: 1, start: position });
            }
            position += length;
        }
        let in_place = runs.iter().all(|run| fits(run, size));
        if in_place && chunk_bits(&runs, size).is_some_and(|bits| chunks(size, bits) <= CHUNKS) {
            return Ok(Content { size, runs });
        }
        match self.pack(source, size, &runs)? {
            Some(runs) => Ok(Content { size, runs }),
            None if in_place => Ok(Content { size, runs }),
            None => Err(ArchiveError::Limit { what: "bytes in odd sparse files", limit: PACKED }),
        }
    }

    /// Copies chunks that are not filled by one run, zeros where nothing is, to the image itself; none when that would
    /// be too much.
    fn pack(&mut self, source: &mut dyn Source, size: u64, runs: &[Run]) -> Result<Option<Vec<Run>>> {
        let chunk = (size / CHUNKS).next_power_of_two().max(CHUNK);
        let packed = self.tree.packed.len();
        let mut packing =
            Packing { chunk, size, made: Vec::new(), packed: std::mem::take(&mut self.tree.packed) };
        let mut fitted = true;
        for run in runs {
            let mut done = 0;
            while done < run.length && fitted {
                let offset = run.offset + done;
                let length = (offset / chunk * chunk + chunk - offset).min(run.length - done);
                let piece = Run { offset, length, start: run.start + done, ..*run };
                fitted = packing.piece(source, piece).map_err(ArchiveError::Read)?;
                done += length;
            }
        }
        self.tree.packed = packing.packed;
        if !fitted {
            self.tree.packed.truncate(packed);
        }
        Ok(fitted.then_some(packing.made))
    }
}

struct Packing {
    chunk: u64,
    size: u64,
    made: Vec<Run>,
    packed: Vec<u8>,
}

impl Packing {
    /// Takes a piece of a run that lies in one chunk; false when there is no more room.
    fn piece(&mut self, source: &mut dyn Source, piece: Run) -> std::io::Result<bool> {
        let begin = piece.offset / self.chunk * self.chunk;
        let whole = self.chunk.min(self.size - begin);
        if piece.length == whole && piece.start.is_multiple_of(BLOCK) {
            match self.made.last_mut() {
                Some(last) if last.device == 1 && last.offset + last.length == begin => last.length += whole,
                _ => self.made.push(piece),
            }
            return Ok(true);
        }
        let place = match self.made.last() {
            // The chunk was begun by the run before.
            Some(last) if last.offset == begin => last.start,
            _ => {
                let place = self.packed.len() as u64;
                if place + self.chunk > PACKED {
                    return Ok(false);
                }
                self.packed.resize(usize::try_from(place + self.chunk).unwrap_or_default(), 0);
                self.made.push(Run { offset: begin, length: whole, device: 0, start: place });
                place
            }
        };
        let from = usize::try_from(place + piece.offset - begin).unwrap_or_default();
        let length = usize::try_from(piece.length).unwrap_or_default();
        source.read_again(piece.start, self.packed.get_mut(from..from + length).unwrap_or_default())?;
        Ok(true)
    }
}

/// Whether the kernel can find a run where it is: blocks of the file are blocks of the tar.
fn fits(run: &Run, size: u64) -> bool {
    run.offset.is_multiple_of(BLOCK)
        && run.start.is_multiple_of(BLOCK)
        && (run.length.is_multiple_of(BLOCK) || run.offset + run.length == size)
}
