//! Uploads: bytes on their way to become a blob, in a file whose length is the truth after a crash.
//!
//! ```text
//! begin --> [append]* --> finish   the file becomes the blob
//!              |    '----> cancel  the file goes
//!              '--> (restart) --> append, finish: the file is hashed again, once
//! ```
//! An upload belongs to one repository: its file's name holds a hash of that name, so no state has to be written
//! beside the bytes. One that is small stays in memory and has no file, so a crash takes it: its client begins anew.
//! Uploads that nobody touched for long are removed when others begin.

mod bytes;
mod hashing;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use oci::digest::{Algorithm, Digest};

use crate::RegistryError;
use crate::name::Repository;
use crate::storage::StorageError;
use bytes::Budget;
pub(crate) use bytes::Upload;

/// Memory for small uploads, bytes; when it is full they go to files as large ones do.
const MEMORY: usize = 4 * 1024 * 1024;
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
    budget: Arc<Budget>,
}

impl Uploads {
    pub(crate) fn open(folder: PathBuf, lifetime: Duration) -> Result<Self, StorageError> {
        store::file::make_private_dir(&folder).map_err(|source| StorageError::File {
            operation: "make",
            path: folder.clone(),
            source,
        })?;
        let budget = Arc::new(Budget::new(MEMORY));
        let uploads = Self { folder, lifetime, open: Mutex::default(), swept: Mutex::default(), budget };
        uploads.sweep();
        Ok(uploads)
    }

    /// Begins one; returns its id. Nothing is written before its first bytes.
    pub(crate) fn begin(&self, name: &Repository, algorithm: Algorithm) -> Result<String, RegistryError> {
        self.sweep_sometimes();
        let id = new_id();
        let file = file_name(name, &id);
        let upload = Upload::new(self.folder.join(&file), algorithm, Arc::clone(&self.budget));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            return Err(RegistryError::TooManyRequests);
        }
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
        if upload.is_gone() {
            return Err(RegistryError::UploadUnknown);
        }
        upload.touched = Instant::now();
        let result = work(&mut upload);
        if upload.is_gone() {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&file_name(name, id));
        }
        result
    }

    /// Writes what is in memory to files, for the process that comes after this one.
    pub(crate) fn keep(&self) -> Result<(), RegistryError> {
        let open: Vec<_> =
            self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for upload in open {
            // Whoever still works on one has not been answered.
            if let Ok(mut upload) = upload.try_lock() {
                upload.spill()?;
            }
        }
        Ok(())
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
        let upload = Arc::new(Mutex::new(Upload::left(path, size, Arc::clone(&self.budget))));
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

/// The name of an upload's file: whose it is stands behind the point.
fn file_name(name: &Repository, id: &str) -> String {
    format!("{id}.{}", Digest::of(name.as_str().as_bytes()).short())
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

#[cfg(test)]
mod tests;
