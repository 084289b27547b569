//! A context as a tar stream, as Docker's client sends it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use archive::{EntryKind, Writer};
use linux::Errno;

use crate::context::Context;
use crate::error::ContextError;
use crate::walk::{Entry, Walk};

/// The one extended attribute that a context has.
const CAPABILITY: &str = "security.capability";
/// Bytes of its value: the kernel's longest form has 24.
const LONGEST_CAPABILITY: usize = 64;

/// A file that the archive has in place of the folder's own, or in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its path in the archive.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
    /// Seconds since the epoch.
    pub modified: i64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files.
    pub content: u64,
}

impl Context {
    /// Writes everything a build may see, and besides it the Dockerfile and the ignore file, which are not the build's
    /// but its builder's.
    ///
    /// # Errors
    /// When a file cannot be read, or `out` takes no more.
    pub fn write_tar(&self, out: &mut dyn Write) -> Result<Packed, ContextError> {
        self.write_tar_with(&[], out)
    }

    /// The same with files that are not in the folder, or otherwise.
    ///
    /// # Errors
    /// As [`Context::write_tar`].
    pub fn write_tar_with(
        &self,
        replacements: &[Replacement],
        out: &mut dyn Write,
    ) -> Result<Packed, ContextError> {
        let kept = self.dockerfile().into_iter().chain(self.ignore_file()).map(clean).collect();
        let mut pack = Pack {
            walk: Walk::new(self, kept),
            root: self.path(),
            writer: Writer::new(out),
            links: HashMap::new(),
            packed: Packed::default(),
        };
        while let Some(entry) = pack.walk.next() {
            let entry = entry?;
            if replacements.iter().all(|replacement| replacement.path != entry.path) {
                pack.entry(&entry)?;
            }
        }
        for replacement in replacements {
            pack.replacement(replacement)?;
        }
        pack.writer.finish().map_err(ContextError::Write)?;
        Ok(pack.packed)
    }
}

struct Pack<'a> {
    walk: Walk<'a>,
    root: &'a Path,
    writer: Writer<&'a mut dyn Write>,
    /// Files with several names, and the one they were written under.
    links: HashMap<(u64, u64), PathBuf>,
    packed: Packed,
}

impl Pack<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), ContextError> {
        let mut written = archive::Entry::new(&entry.path, entry.kind, entry.mode);
        written.seconds = entry.modified.0;
        written.device = entry.device;
        written.link.clone_from(&entry.link);
        if entry.kind != EntryKind::Directory && entry.other_names {
            if let Some(first) = self.links.get(&entry.identity) {
                written.kind = EntryKind::HardLink;
                written.link = OsString::from(first);
                return self.empty(&written);
            }
            self.links.insert(entry.identity, entry.path.clone());
        }
        if entry.kind == EntryKind::File { self.file(entry, written) } else { self.empty(&written) }
    }

    fn empty(&mut self, written: &archive::Entry) -> Result<(), ContextError> {
        self.packed.entries += 1;
        self.writer.append_empty(written).map_err(ContextError::Write)
    }

    /// The open file counts: its size may be another one than a moment ago.
    fn file(&mut self, entry: &Entry, mut written: archive::Entry) -> Result<(), ContextError> {
        let place = || self.root.join(&entry.path);
        let file = match self.walk.open_last() {
            // It went away or became something else meanwhile.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(()),
            file => file.map_err(ContextError::read("open", &place()))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(ContextError::read("look at", &place()))?;
        if !linux::root::is_regular(&stat) {
            return Ok(());
        }
        written.mode = stat.st_mode & 0o7777;
        written.seconds = stat.st_mtime;
        written.size = stat.st_size.cast_unsigned();
        let value = capability(&file).map_err(ContextError::read("read attributes of", &place()))?;
        written.xattrs.extend(value.map(|value| (CAPABILITY.as_bytes().to_vec(), value)));
        let size = written.size;
        // A file that shrinks while it is read gets zeros for what is missing, as with every tar.
        let mut content = File::from(file).chain(std::io::repeat(0)).take(size);
        self.packed.entries += 1;
        self.packed.content += size;
        self.writer.append(&written, &mut content).map_err(|error| match error {
            archive::ArchiveError::Read(source) => {
                ContextError::Read { operation: "read", path: self.root.join(&entry.path), source }
            }
            error => ContextError::Write(error),
        })
    }

    fn replacement(&mut self, replacement: &Replacement) -> Result<(), ContextError> {
        let mut entry = archive::Entry::file(&replacement.path, 0o600, 0);
        entry.seconds = replacement.modified;
        self.packed.entries += 1;
        self.packed.content += replacement.content.len() as u64;
        self.writer.append_bytes(&entry, &replacement.content).map_err(ContextError::Write)
    }
}

fn capability(file: &OwnedFd) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = [0u8; LONGEST_CAPABILITY];
    match rustix::fs::fgetxattr(file.as_fd(), CAPABILITY, &mut value) {
        Ok(length) => Ok(Some(value.get(..length).unwrap_or_default().to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A path as the walk tells it: without `.` and slashes in front.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}
