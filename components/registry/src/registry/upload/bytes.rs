//! The bytes of one upload: a few stay in memory, more go to a file while a second thread hashes them.
//!
//! ```text
//! memory --(more than SMALL, or too many others there)--> file --> blob, or gone
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use oci::digest::{Algorithm, Digest, Digester};

use super::hashing;
use crate::RegistryError;
use crate::storage::{Content, SMALL, StorageError};

/// Bytes moved at once.
pub(super) const BLOCK: usize = 128 * 1024;
/// Bytes of a block for bodies that are short.
const SHORT_BLOCK: usize = 4 * 1024;

/// Memory that all uploads together may still take, bytes.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Where the bytes are.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    /// A file, open once something was added by this process.
    File(Option<File>),
    /// They became a blob, or were given up.
    Gone,
}

/// One upload; its lock is held by the request that works on it.
#[derive(Debug)]
pub(crate) struct Upload {
    path: PathBuf,
    place: Place,
    budget: Arc<Budget>,
    size: u64,
    algorithm: Algorithm,
    /// None when the file has to be read first.
    digester: Option<Digester>,
    pub(super) touched: Instant,
}

impl Upload {
    /// One without bytes; nothing is on the disk yet.
    pub(super) fn new(path: PathBuf, algorithm: Algorithm, budget: Arc<Budget>) -> Self {
        let digester = Some(Digester::new(algorithm));
        let place = Place::Memory(Vec::new());
        Self { path, place, budget, size: 0, algorithm, digester, touched: Instant::now() }
    }

    /// One that a former process left, with so many bytes.
    pub(super) fn left(path: PathBuf, size: u64, budget: Arc<Budget>) -> Self {
        let (algorithm, place) = (Algorithm::Sha256, Place::File(None));
        Self { path, place, budget, size, algorithm, digester: None, touched: Instant::now() }
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it ended.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.place, Place::Gone)
    }

    /// All of it, as a storage takes it.
    ///
    /// # Errors
    /// `UploadUnknown` when it ended.
    pub(crate) fn content(&self) -> Result<Content<'_>, RegistryError> {
        match &self.place {
            Place::Memory(bytes) => Ok(Content::Bytes(bytes)),
            Place::File(_) => Ok(Content::File(&self.path, self.size)),
            Place::Gone => Err(RegistryError::UploadUnknown),
        }
    }

    /// Ends it: the memory is free, and the file goes unless it has become a blob.
    pub(crate) fn end(&mut self) {
        self.budget.give_back(self.kept());
        if let Place::File(_) = std::mem::replace(&mut self.place, Place::Gone) {
            // It may have become a blob.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Adds a body; what came before it broke stays.
    ///
    /// # Errors
    /// `Client` when it breaks off, and when the disk fails.
    pub(crate) fn append(
        &mut self,
        body: &mut dyn Read,
        announced: Option<u64>,
    ) -> Result<(), RegistryError> {
        // One byte more than announced, so that the end is seen with the last byte.
        let expected = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(BLOCK);
        let mut block = vec![0; expected.saturating_add(1).clamp(SHORT_BLOCK, BLOCK)];
        let filled = fill(body, &mut block);
        let (Ok(count) | Err((count, _))) = filled;
        let is_whole = count < block.len();
        block.truncate(count);
        if !self.keep(&block, is_whole) {
            self.spill()?;
            match filled {
                Ok(_) if !is_whole => return self.stream(block, body),
                _ => self.write(&block)?,
            }
        }
        filled.map(drop).map_err(|(_, error)| RegistryError::Client(error))
    }

    /// Keeps bytes in memory when they are few, and memory is left for them.
    fn keep(&mut self, more: &[u8], is_whole: bool) -> bool {
        let Place::Memory(bytes) = &mut self.place else { return false };
        let fits = is_whole && (bytes.len() + more.len()) as u64 <= SMALL;
        if !fits || !self.budget.take(more.len()) {
            return false;
        }
        bytes.extend_from_slice(more);
        self.size += more.len() as u64;
        if let Some(digester) = &mut self.digester {
            digester.update(more);
        }
        true
    }

    /// Bytes of the budget that are ours.
    fn kept(&self) -> usize {
        if let Place::Memory(bytes) = &self.place { bytes.len() } else { 0 }
    }

    /// From now on the bytes are in a file.
    pub(super) fn spill(&mut self) -> Result<(), RegistryError> {
        let Place::Memory(bytes) = &self.place else { return Ok(()) };
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&self.path);
        let mut file = made.map_err(|source| self.failed("make", source))?;
        if let Err(source) = file.write_all(bytes) {
            let _ = std::fs::remove_file(&self.path);
            return Err(self.failed("write", source));
        }
        self.budget.give_back(self.kept());
        self.place = Place::File(Some(file));
        Ok(())
    }

    /// Adds a body that is long; its first block was read.
    fn stream(&mut self, first: Vec<u8>, body: &mut dyn Read) -> Result<(), RegistryError> {
        let digester = self.take_digester()?;
        let file = self.file()?;
        let streamed = hashing::stream(&file, self.size, digester, first, body);
        self.size += streamed.written;
        // Without it the file is read again.
        self.digester = streamed.digester;
        match streamed.end {
            Ok(()) => Ok(()),
            Err(hashing::End::Client(error)) => Err(RegistryError::Client(error)),
            Err(hashing::End::Thread) => Err(RegistryError::TooManyRequests),
            Err(hashing::End::Disk(error)) => Err(self.cut(&file, error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut digester = self.take_digester()?;
        let file = self.file()?;
        if let Err(source) = file.write_all_at(bytes, self.size) {
            self.digester = Some(digester);
            return Err(self.cut(&file, source));
        }
        digester.update(bytes);
        self.digester = Some(digester);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// After a failed write the file may hold a part of a block: it is cut to what is hashed. Where that fails too, the
    /// next bytes are written over it.
    fn cut(&self, file: &File, source: io::Error) -> RegistryError {
        let cut = file.set_len(self.size);
        self.failed("write", cut.err().unwrap_or(source))
    }

    fn file(&mut self) -> Result<File, RegistryError> {
        let file = match &self.place {
            Place::File(Some(file)) => file.try_clone(),
            // Without its file it was cancelled meanwhile.
            Place::File(None) => OpenOptions::new().write(true).open(&self.path),
            Place::Memory(_) | Place::Gone => return Err(RegistryError::UploadUnknown),
        };
        let file = self.own(file.map_err(|_| RegistryError::UploadUnknown)?)?;
        let kept = file.try_clone().map_err(|source| self.failed("open", source))?;
        self.place = Place::File(Some(kept));
        Ok(file)
    }

    /// The file, to be written to. After an end in the midst of a finish it may be a blob as well, which stays as it is:
    /// more bytes go to a copy.
    fn own(&self, file: File) -> Result<File, RegistryError> {
        let links = file.metadata().map_err(|source| self.failed("look at", source))?.nlink();
        if links <= 1 {
            return Ok(file);
        }
        let mut aside = self.path.clone().into_os_string();
        aside.push(".copy");
        let aside = PathBuf::from(aside);
        let copied = std::fs::copy(&self.path, &aside).and_then(|_| std::fs::rename(&aside, &self.path));
        if let Err(source) = copied {
            let _ = std::fs::remove_file(&aside);
            return Err(self.failed("copy", source));
        }
        OpenOptions::new().write(true).open(&self.path).map_err(|source| self.failed("open", source))
    }

    /// Checks that the bytes have the promised digest.
    ///
    /// # Errors
    /// `DigestMismatch`, and when they can't be read again.
    pub(crate) fn check(&mut self, wanted: &Digest) -> Result<(), RegistryError> {
        if wanted.algorithm() != self.algorithm {
            self.algorithm = wanted.algorithm();
            self.digester = None;
        }
        let digester = self.take_digester()?;
        let found = digester.clone().finish();
        self.digester = Some(digester);
        if found == *wanted {
            return self.settle();
        }
        Err(RegistryError::DigestMismatch { wanted: wanted.clone(), found })
    }

    /// The file holds what is counted and nothing behind it.
    fn settle(&mut self) -> Result<(), RegistryError> {
        if !matches!(self.place, Place::File(_)) {
            return Ok(());
        }
        let length = std::fs::metadata(&self.path).map_err(|_| RegistryError::UploadUnknown)?.len();
        if length == self.size {
            return Ok(());
        }
        self.file()?.set_len(self.size).map_err(|source| self.failed("cut", source))
    }

    /// The hash state of the bytes held; they are read again when it was lost.
    fn take_digester(&mut self) -> Result<Digester, RegistryError> {
        if let Some(digester) = self.digester.take() {
            return Ok(digester);
        }
        let mut digester = Digester::new(self.algorithm);
        if let Place::Memory(bytes) = &self.place {
            digester.update(bytes);
            return Ok(digester);
        }
        let mut file = File::open(&self.path).map_err(|_| RegistryError::UploadUnknown)?.take(self.size);
        digester.update_from(&mut file, BLOCK).map_err(|error| self.failed("read", error))?;
        Ok(digester)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> RegistryError {
        StorageError::File { operation, path: self.path.clone(), source }.into()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.budget.give_back(self.kept());
    }
}

/// Reads until the block is full or the body ends; an error comes with what was read before it.
pub(super) fn fill(body: &mut dyn Read, block: &mut [u8]) -> Result<usize, (usize, io::Error)> {
    let mut filled = 0;
    while filled < block.len() {
        match body.read(block.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}
