//! Reads the members of a tar stream.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error::{ArchiveError, Result};
use crate::header::{self, BLOCK, Header};
use crate::limits::Limits;
use crate::pax::Extended;
use crate::sparse::{self, Piece};
use crate::{Entry, EntryKind};

/// A tar stream (uncompressed). After [`Self::next_entry`] the content of that entry is read from here; what is not
/// read is skipped.
pub struct Reader<R> {
    source: R,
    limits: Limits,
    entries: u64,
    total: u64,
    /// Bytes of the present entry's data still in the stream, and of the padding behind it.
    data: u64,
    padding: u64,
    sparse: Option<Sparse>,
    global: Extended,
    ended: bool,
}

/// Where we are in a sparse file.
struct Sparse {
    pieces: Vec<Piece>,
    next: usize,
    position: u64,
    size: u64,
}

impl<R: Read> Reader<R> {
    /// Starts to read.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            source,
            limits,
            entries: 0,
            total: 0,
            data: 0,
            padding: 0,
            sparse: None,
            global: Extended::default(),
            ended: false,
        }
    }

    /// The next member; none at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        if self.ended {
            return Ok(None);
        }
        let mut extended = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(header) = self.read_header()? else {
                self.ended = true;
                return Ok(None);
            };
            let size = self.size_of(&header)?;
            match header.kind() {
                b'x' => extended.read(&self.read_meta(size)?, &self.limits)?,
                b'g' => {
                    let bytes = self.read_meta(size)?;
                    self.global.read(&bytes, &self.limits)?;
                    extended.read(&bytes, &self.limits)?;
                }
                b'L' => long_name = Some(until_nul(self.read_meta(size)?)),
                b'K' => long_link = Some(until_nul(self.read_meta(size)?)),
                _ => {
                    extended.path = extended.path.or(long_name);
                    extended.link = extended.link.or(long_link);
                    return self.member(&header, extended, size).map(Some);
                }
            }
        }
    }

    /// Reads what follows the archive's end, so that whoever writes the stream can finish.
    pub fn drain(&mut self) -> Result<()> {
        self.skip_content()?;
        io::copy(&mut self.source, &mut io::sink()).map(drop).map_err(ArchiveError::Read)
    }

    /// The stream itself.
    pub fn into_inner(self) -> R {
        self.source
    }

    /// The stream itself, to be moved only past what [`Self::take_content`] answered.
    pub fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Leaves the present entry's content to the caller, who has to move the stream past it: so many bytes of data and
    /// so many of padding behind them (which some writers forget at the very end).
    pub fn take_content(&mut self) -> (u64, u64) {
        let content = (self.data, self.padding);
        (self.data, self.padding, self.sparse) = (0, 0, None);
        content
    }

    /// For a sparse file: the runs of data in it (offset and length, in order), which follow each other in the stream
    /// without gaps. None for all others.
    pub fn pieces(&self) -> Option<&[Piece]> {
        self.sparse.as_ref().map(|sparse| sparse.pieces.as_slice())
    }

    /// Reads data as it is in the stream: for sparse files only the pieces, one after the other.
    pub(crate) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        loop {
            match self.source.read(buffer) {
                Ok(0) => return Err(ArchiveError::Truncated),
                Ok(count) => {
                    self.data -= count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
    }

    /// Reads the whole content of a small file that is not sparse.
    pub(crate) fn read_small(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(size).unwrap_or_default()];
        let mut held = 0;
        while held < content.len() {
            match self.read_data(content.get_mut(held..).unwrap_or_default())? {
                0 => return Err(ArchiveError::Truncated),
                count => held += count,
            }
        }
        Ok(content)
    }

    fn skip_content(&mut self) -> Result<()> {
        let rest = self.data + self.padding;
        let skipped =
            io::copy(&mut (&mut self.source).take(rest), &mut io::sink()).map_err(ArchiveError::Read)?;
        // Some writers forget the padding of the very last member.
        if skipped < self.data {
            return Err(ArchiveError::Truncated);
        }
        (self.data, self.padding, self.sparse) = (0, 0, None);
        Ok(())
    }

    /// The next header; none after the end marker or at the end of the stream.
    fn read_header(&mut self) -> Result<Option<Header>> {
        let mut header = Header([0; BLOCK]);
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(header.0.get_mut(filled..).unwrap_or_default()) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(ArchiveError::Truncated),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
        if header.is_zero() {
            return Ok(None);
        }
        header.check()?;
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveError::Limit { what: "entries", limit: self.limits.entries });
        }
        Ok(Some(header))
    }

    fn size_of(&self, header: &Header) -> Result<u64> {
        let size = header.number(header::SIZE, "size")?;
        u64::try_from(size).map_err(|_| ArchiveError::Field { what: "size" })
    }

    /// The content of a member that describes the next one.
    fn read_meta(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > self.limits.extended_header as u64 {
            let limit = self.limits.extended_header as u64;
            return Err(ArchiveError::Limit { what: "bytes in an extended header", limit });
        }
        let padded = size.next_multiple_of(BLOCK as u64);
        let mut bytes = Vec::new();
        (&mut self.source).take(padded).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        if (bytes.len() as u64) < padded {
            return Err(ArchiveError::Truncated);
        }
        bytes.truncate(usize::try_from(size).unwrap_or_default());
        Ok(bytes)
    }

    fn member(&mut self, header: &Header, extended: Extended, header_size: u64) -> Result<Entry> {
        let path =
            extended.sparse.name.clone().or(extended.path.clone()).unwrap_or_else(|| full_name(header));
        let kind = kind_of(header.kind(), &path);
        let stored = match kind {
            // Only files have content; sizes of other members are noise of some writers.
            EntryKind::File => extended.size.unwrap_or(header_size),
            EntryKind::HardLink => 0,
            _ if matches!(header.kind(), b'2'..=b'6') => 0,
            _ => extended.size.unwrap_or(header_size),
        };
        self.data = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64).wrapping_sub(stored);
        self.check_size(stored)?;
        let size = self.open_sparse(header, &extended, stored)?;
        self.check_size(size)?;
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total_size {
            return Err(ArchiveError::Limit { what: "bytes", limit: self.limits.total_size });
        }
        self.entry(header, extended, path, kind, size)
    }

    fn entry(
        &self,
        header: &Header,
        extended: Extended,
        path: Vec<u8>,
        kind: EntryKind,
        size: u64,
    ) -> Result<Entry> {
        let link = extended.link.unwrap_or_else(|| header.text(header::LINK).to_vec());
        let (seconds, nanoseconds) = match extended.time {
            Some(time) => time,
            None => (header.number(header::MTIME, "time").unwrap_or_default(), 0),
        };
        let mode = header.number(header::MODE, "mode")? & 0o7777;
        let device = (header.number(header::MAJOR, "device"), header.number(header::MINOR, "device"));
        let device = match kind {
            EntryKind::CharacterDevice | EntryKind::BlockDevice => (narrow(device.0?)?, narrow(device.1?)?),
            _ => (0, 0),
        };
        Ok(Entry {
            path: PathBuf::from(OsString::from_vec(self.check_path(path)?)),
            kind,
            mode: u32::try_from(mode).unwrap_or_default(),
            uid: id(extended.uid, header, header::UID)?,
            gid: id(extended.gid, header, header::GID)?,
            user: lossy(extended.user, header, header::USER),
            group: lossy(extended.group, header, header::GROUP),
            seconds,
            nanoseconds,
            size,
            link: OsString::from_vec(self.check_path(link)?),
            device,
            xattrs: extended.xattrs,
        })
    }

    /// Finds out whether the member is sparse; answers its real size.
    fn open_sparse(&mut self, header: &Header, extended: &Extended, stored: u64) -> Result<u64> {
        let keys = &extended.sparse;
        let (pieces, size) = if header.kind() == b'S' && header.is_gnu() {
            let size = header.number(header::GNU_REAL_SIZE, "size")?;
            let size = u64::try_from(size).map_err(|_| ArchiveError::Field { what: "size" })?;
            (sparse::read_gnu(header, &mut self.source, &self.limits)?, size)
        } else if keys.present && keys.major == Some(1) {
            let (pieces, used) = sparse::read_content(&mut self.source, self.data, &self.limits)?;
            self.data -= used;
            (pieces, keys.real_size.ok_or(ArchiveError::Field { what: "sparse map" })?)
        } else if keys.present && !keys.numbers.is_empty() {
            (sparse::from_keys(keys, &self.limits)?, keys.real_size.unwrap_or(stored))
        } else {
            return Ok(stored);
        };
        self.check_size(size)?;
        sparse::check(&pieces, size, self.data)?;
        self.sparse = Some(Sparse { pieces, next: 0, position: 0, size });
        Ok(size)
    }

    fn check_size(&self, size: u64) -> Result<()> {
        if size > self.limits.file_size {
            return Err(ArchiveError::Limit { what: "bytes in a file", limit: self.limits.file_size });
        }
        Ok(())
    }

    fn check_path(&self, mut path: Vec<u8>) -> Result<Vec<u8>> {
        if path.contains(&0) {
            return Err(ArchiveError::Field { what: "name" });
        }
        while path.len() > 1 && path.last() == Some(&b'/') {
            path.pop();
        }
        if path.len() > self.limits.path_length {
            return Err(ArchiveError::Limit {
                what: "bytes in a name",
                limit: self.limits.path_length as u64,
            });
        }
        if path.split(|byte| *byte == b'/').count() > self.limits.depth {
            return Err(ArchiveError::Limit {
                what: "components in a name",
                limit: self.limits.depth as u64,
            });
        }
        Ok(path)
    }

    /// Content of a sparse file, holes as zeros.
    fn read_sparse(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(sparse) = &mut self.sparse else { return Ok(0) };
        while sparse.pieces.get(sparse.next).is_some_and(|piece| sparse.position >= piece.0 + piece.1) {
            sparse.next += 1;
        }
        let end = sparse
            .pieces
            .get(sparse.next)
            .map_or(sparse.size, |piece| if sparse.position < piece.0 { piece.0 } else { piece.0 + piece.1 });
        let in_data = sparse.pieces.get(sparse.next).is_some_and(|piece| sparse.position >= piece.0);
        let length = usize::try_from(end - sparse.position).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let count = if in_data {
            self.read_data(buffer)?
        } else {
            buffer.fill(0);
            length
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.position += count as u64;
        }
        Ok(count)
    }
}

/// The content of the present entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.sparse.is_some() { self.read_sparse(buffer)? } else { self.read_data(buffer)? };
        Ok(count)
    }
}

fn kind_of(kind: u8, path: &[u8]) -> EntryKind {
    match kind {
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharacterDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        // Before POSIX a slash at the end made a directory.
        b'0' | 0 if path.ends_with(b"/") => EntryKind::Directory,
        _ => EntryKind::File,
    }
}

fn full_name(header: &Header) -> Vec<u8> {
    let name = header.text(header::NAME);
    let prefix = if header.is_ustar() { header.text(header::PREFIX) } else { b"" };
    if prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, name].join(OsStr::new("/").as_bytes())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn id(extended: Option<u64>, header: &Header, field: header::Field) -> Result<u32> {
    let number = match extended {
        Some(number) => number,
        None => u64::try_from(header.number(field, "owner")?).unwrap_or(u64::MAX),
    };
    // The highest number means "nobody in particular" to the kernel.
    u32::try_from(number).ok().filter(|id| *id != u32::MAX).ok_or(ArchiveError::Field { what: "owner" })
}

fn narrow(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| ArchiveError::Field { what: "device" })
}

fn lossy(extended: Option<Vec<u8>>, header: &Header, field: header::Field) -> String {
    let bytes = extended.unwrap_or_else(|| header.text(field).to_vec());
    String::from_utf8_lossy(&bytes).into_owned()
}
