//! Uploads: bytes on their way to become a blob, in a file whose length is the truth after a crash.
//!
//! ```text
//! begin --> [append]* --> finish   the file becomes the blob
//!              |    '----> cancel  the file goes
//!              '--> (restart) --> append, finish: the file is hashed again, once
//! ```
//! An upload belongs to one repository: its file's name holds a hash of that name, so no state has to be written
//! beside the bytes. Uploads that nobody touched for long are removed when others begin.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use oci::digest::{Algorithm, Digest, Digester};

use crate::RegistryError;
use crate::name::Repository;
use crate::storage::StorageError;

/// Bytes moved at once.
const BLOCK: usize = 256 * 1024;
/// Bytes of a block for bodies that are short.
const SHORT_BLOCK: usize = 16 * 1024;
/// Uploads open at once.
const MOST: usize = 10_000;
/// How often stale uploads are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// All uploads under way.
#[derive(Debug)]
pub(crate) struct Uploads {
    folder: PathBuf,
    lifetime: Duration,
    /// By the names of their files.
    open: Mutex<HashMap<String, Arc<Mutex<Upload>>>>,
    swept: Mutex<Option<Instant>>,
}

/// One upload; its lock is held by the request that works on it.
#[derive(Debug)]
pub(crate) struct Upload {
    path: PathBuf,
    /// Opened when the first byte comes.
    file: Option<File>,
    size: u64,
    algorithm: Algorithm,
    /// None when the file has to be read first.
    digester: Option<Digester>,
    touched: Instant,
}

impl Uploads {
    pub(crate) fn open(folder: PathBuf, lifetime: Duration) -> Result<Self, StorageError> {
        store::file::make_private_dir(&folder).map_err(|source| StorageError::File {
            operation: "make",
            path: folder.clone(),
            source,
        })?;
        let uploads = Self { folder, lifetime, open: Mutex::default(), swept: Mutex::default() };
        uploads.sweep();
        Ok(uploads)
    }

    /// Begins one; returns its id.
    pub(crate) fn begin(&self, name: &Repository, algorithm: Algorithm) -> Result<String, RegistryError> {
        self.sweep_sometimes();
        let id = new_id();
        let file = file_name(name, &id);
        let upload = Upload::new(self.folder.join(&file), 0, algorithm, Some(Digester::new(algorithm)));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            return Err(RegistryError::TooManyRequests);
        }
        upload.create()?;
        open.insert(file, Arc::new(Mutex::new(upload)));
        Ok(id)
    }

    /// Works on an upload that nobody else works on.
    pub(crate) fn with<T>(
        &self,
        name: &Repository,
        id: &str,
        work: impl FnOnce(&mut Upload) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let upload = self.find(name, id)?;
        let mut upload = match upload.try_lock() {
            Ok(upload) => upload,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let reason = "another request works on this upload".to_owned();
                return Err(RegistryError::UploadInvalid { reason });
            }
        };
        upload.touched = Instant::now();
        work(&mut upload)
    }

    /// Forgets an upload and removes its file.
    pub(crate) fn remove(&self, name: &Repository, id: &str) {
        let file = file_name(name, id);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
        // It may have become a blob.
        let _ = std::fs::remove_file(self.folder.join(file));
    }

    /// How many are known.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn find(&self, name: &Repository, id: &str) -> Result<Arc<Mutex<Upload>>, RegistryError> {
        if !is_id(id) {
            return Err(RegistryError::UploadUnknown);
        }
        let file = file_name(name, id);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upload) = open.get(&file) {
            return Ok(Arc::clone(upload));
        }
        // Left by a former process.
        let path = self.folder.join(&file);
        let size = std::fs::metadata(&path).map_err(|_| RegistryError::UploadUnknown)?.len();
        let upload = Arc::new(Mutex::new(Upload::new(path, size, Algorithm::Sha256, None)));
        open.insert(file, Arc::clone(&upload));
        Ok(upload)
    }

    fn sweep_sometimes(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|then| then.elapsed() > SWEEP_INTERVAL) {
            *swept = Some(Instant::now());
            drop(swept);
            self.sweep();
        }
    }

    /// Removes what nobody touched for the lifetime of an upload.
    pub(crate) fn sweep(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, upload| {
            upload.try_lock().map_or(true, |upload| upload.touched.elapsed() < self.lifetime)
        });
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_open = entry.file_name().to_str().is_some_and(|name| open.contains_key(name));
            let age = entry
                .metadata()
                .and_then(|data| data.modified())
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            if !is_open && age.is_some_and(|age| age >= self.lifetime) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Upload {
    fn new(path: PathBuf, size: u64, algorithm: Algorithm, digester: Option<Digester>) -> Self {
        Self { path, file: None, size, algorithm, digester, touched: Instant::now() }
    }

    fn create(&self) -> Result<(), RegistryError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        made.map(drop).map_err(|source| self.failed("make", source))
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a body; what came before it broke stays.
    pub(crate) fn append(
        &mut self,
        body: &mut dyn Read,
        announced: Option<u64>,
    ) -> Result<(), RegistryError> {
        let short = announced.is_some_and(|length| length < SHORT_BLOCK as u64);
        let mut block = vec![0; if short { SHORT_BLOCK } else { BLOCK }];
        loop {
            match fill(body, &mut block) {
                Ok(count) => {
                    self.write(block.get(..count).unwrap_or_default())?;
                    if count < block.len() {
                        return Ok(());
                    }
                }
                Err((count, error)) => {
                    self.write(block.get(..count).unwrap_or_default())?;
                    return Err(RegistryError::Client(error));
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut digester = self.take_digester()?;
        if self.file.is_none() {
            let opened = OpenOptions::new().append(true).open(&self.path);
            // Without its file it was cancelled meanwhile.
            self.file = Some(opened.map_err(|_| RegistryError::UploadUnknown)?);
        }
        let result = self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes));
        if let Err(source) = result {
            self.digester = Some(digester);
            // The file may hold a part of this: it is cut to what is hashed.
            let cut = self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.size));
            return Err(self.failed("write", cut.err().unwrap_or(source)));
        }
        digester.update(bytes);
        self.digester = Some(digester);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Checks that the bytes have the promised digest.
    pub(crate) fn check(&mut self, wanted: &Digest) -> Result<(), RegistryError> {
        if wanted.algorithm() != self.algorithm {
            self.algorithm = wanted.algorithm();
            self.digester = None;
        }
        let digester = self.take_digester()?;
        let found = digester.clone().finish();
        self.digester = Some(digester);
        if found == *wanted {
            return Ok(());
        }
        Err(RegistryError::DigestMismatch { wanted: wanted.clone(), found })
    }

    /// The hash state of the bytes held; they are read again when it was lost.
    fn take_digester(&mut self) -> Result<Digester, RegistryError> {
        if let Some(digester) = self.digester.take() {
            return Ok(digester);
        }
        let mut digester = Digester::new(self.algorithm);
        let mut file = File::open(&self.path).map_err(|_| RegistryError::UploadUnknown)?.take(self.size);
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block) {
                Ok(0) => return Ok(digester),
                Ok(count) => digester.update(block.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> RegistryError {
        StorageError::File { operation, path: self.path.clone(), source }.into()
    }
}

/// The name of an upload's file: whose it is stands behind the point.
fn file_name(name: &Repository, id: &str) -> String {
    format!("{id}.{}", Digest::of(name.as_str().as_bytes()).short())
}

/// Reads until the block is full or the body ends; an error comes with what was read before it.
fn fill(body: &mut dyn Read, block: &mut [u8]) -> Result<usize, (usize, io::Error)> {
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

/// A random UUID, version 4.
fn new_id() -> String {
    let mut bytes = [0u8; 16];
    model::id::fill_random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = model::id::hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Whether a text has the form of an id; only such texts become parts of paths.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
