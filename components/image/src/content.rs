//! Blobs by digest: a file appears under its name only when it is complete and verified.
//!
//! ```text
//! blobs/<algorithm>/<hex>     complete and verified; on disk before a record refers to it
//! partial/<algorithm>/<hex>   what is there of a blob whose digest was known before it came, also after a crash
//! ingest/<random>             blobs whose digest comes out at their end; emptied at open
//! ```

mod flush;
mod ingest;
mod partial;
mod usage;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use oci::Digest;
use oci::digest::{Algorithm, Digester};
use oci::image::Descriptor;
use serde::de::DeserializeOwned;

use crate::error::{Result, file_error};
use crate::{ImageError, Limits};

use flush::Flusher;
pub use ingest::{Follow, Ingest};
pub use partial::Resumed;
pub use usage::ContentUsage;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// Bytes hashed at once.
const HASH_BLOCK: usize = 256 << 10;
/// Bytes of a blob whose removal takes long enough to be noticed.
const LARGE: u64 = 1 << 20;
/// Blobs that are removed but held open by one removal.
const HELD_AT_ONCE: usize = 128;

/// The directory of blobs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Content {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    limits: Limits,
    /// Digests somebody is taking in just now.
    busy: Mutex<HashSet<Digest>>,
    /// One of them is free again.
    freed: Condvar,
    /// Blobs that came in and that perhaps nobody refers to.
    fresh: Mutex<HashSet<Digest>>,
    flusher: Flusher,
}

impl Content {
    /// Opens the directory (made 0700). Unfinished ingests are removed, but what is there of blobs with a known digest
    /// stays within its limits.
    pub fn open(root: &Path, limits: Limits) -> Result<Self> {
        store::file::make_private_dir(root).map_err(file_error("prepare", root))?;
        let shared = Shared {
            root: root.to_owned(),
            limits,
            busy: Mutex::default(),
            freed: Condvar::new(),
            fresh: Mutex::default(),
            flusher: Flusher::default(),
        };
        let content = Self { shared: Arc::new(shared) };
        let ingest = content.ingest_dir();
        match std::fs::remove_dir_all(&ingest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error("clean", &ingest)(error));
            }
            _ => {}
        }
        let blobs = ALGORITHMS.map(|algorithm| content.blob_dir(algorithm));
        let partial = ALGORITHMS.map(|algorithm| content.partial_dir(algorithm));
        for directory in blobs.iter().chain(&partial).chain([&ingest]) {
            store::file::make_private_dir(directory).map_err(file_error("prepare", directory))?;
        }
        content.trim_partial(limits.partial_age, limits.partial_bytes)?;
        Ok(content)
    }

    /// Where a blob is or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blob_dir(digest.algorithm()).join(digest.hex())
    }

    /// Bytes of a blob; none when it is not there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        std::fs::metadata(self.path(digest)).ok().map(|metadata| metadata.len())
    }

    /// Whether a blob is there, so that it need not be had again. A file that was damaged meanwhile is removed.
    ///
    /// # Errors
    /// When the blob has another size than the descriptor says.
    pub fn has(&self, blob: &Descriptor) -> Result<bool> {
        match self.size(&blob.digest) {
            None => Ok(false),
            Some(size) if size == blob.size => Ok(true),
            Some(_) if self.verify(&blob.digest).is_ok() => Err(ImageError::Inconsistent {
                what: format!("descriptor of {}", blob.digest),
                reason: "the content has another size",
            }),
            Some(_) => self.remove(&blob.digest).map(|()| false),
        }
    }

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ImageError::MissingBlob { digest: digest.clone() },
            _ => file_error("open", &path)(error),
        })
    }

    /// Reads a whole blob and compares its digest; answers its size.
    pub fn verify(&self, digest: &Digest) -> Result<u64> {
        let mut digester = Digester::new(digest.algorithm());
        let size = digester
            .update_from(&mut self.open_blob(digest)?, HASH_BLOCK)
            .map_err(file_error("read", &self.path(digest)))?;
        let found = digester.finish();
        if found == *digest {
            Ok(size)
        } else {
            Err(ImageError::Mismatch { expected: digest.clone(), found })
        }
    }

    /// The bytes of a document, verified.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let limit = self.shared.limits.document;
        let mut bytes = Vec::new();
        let mut file = self.open_blob(digest)?.take(limit + 1);
        file.read_to_end(&mut bytes).map_err(file_error("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(ImageError::TooLarge { what: digest.to_string(), limit });
        }
        let mut digester = Digester::new(digest.algorithm());
        digester.update(&bytes);
        let found = digester.finish();
        if found == *digest {
            Ok(bytes)
        } else {
            Err(ImageError::Mismatch { expected: digest.clone(), found })
        }
    }

    /// A document, parsed.
    pub fn document<D: DeserializeOwned>(&self, digest: &Digest) -> Result<D> {
        let bytes = self.read(digest)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ImageError::Document { what: digest.to_string(), source })
    }

    /// Starts to take in a blob whose digest comes out at its end.
    pub fn ingest(&self, algorithm: Algorithm) -> Result<Ingest> {
        Ingest::anonymous(self, algorithm)
    }

    /// Takes in some bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.size(&digest).is_none() {
            let mut ingest = self.ingest(Algorithm::Sha256)?;
            ingest.write_all(bytes).map_err(file_error("write", &self.path(&digest)))?;
            ingest.finish(Some(&digest))?;
        }
        Ok(digest)
    }

    /// All blobs.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for algorithm in ALGORITHMS {
            let directory = self.blob_dir(algorithm);
            for entry in std::fs::read_dir(&directory).map_err(file_error("list", &directory))? {
                let name = entry.map_err(file_error("list", &directory))?.file_name();
                let text = format!("{}:{}", algorithm.name(), name.to_string_lossy());
                found.extend(text.parse::<Digest>().ok());
            }
        }
        Ok(found)
    }

    /// Removes a blob; a missing one is no error.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        remove_file(&self.path(digest))
    }

    /// Removes blobs, those that are missing too. Their room comes free a moment later: that takes the kernel long where the
    /// page cache holds all of a large file, and nobody waits for it.
    pub(crate) fn remove_all(&self, digests: &[Digest]) -> Result<()> {
        let mut held = Vec::new();
        for digest in digests {
            let large = self.size(digest).is_some_and(|size| size >= LARGE);
            if large && held.len() < HELD_AT_ONCE {
                held.extend(self.open_blob(digest).ok());
            }
            self.remove(digest)?;
        }
        if !held.is_empty() {
            // Without the thread they are closed here.
            drop(std::thread::Builder::new().name("blob-free".into()).spawn(move || drop(held)));
        }
        Ok(())
    }

    /// Makes new blobs and their names survive a power cut; called before a record refers to them.
    pub fn sync(&self) -> Result<()> {
        self.shared.flusher.wait()?;
        for algorithm in ALGORITHMS {
            let directory = self.blob_dir(algorithm);
            File::open(&directory)
                .and_then(|directory| directory.sync_all())
                .map_err(file_error("flush", &directory))?;
        }
        Ok(())
    }

    /// Blobs that came in since the last call, and those it was told of.
    pub(crate) fn take_fresh(&self) -> HashSet<Digest> {
        std::mem::take(&mut *lock(&self.shared.fresh))
    }

    /// Whether any of these came in since blobs were collected last.
    pub(crate) fn has_fresh(&self, blobs: &HashSet<Digest>) -> bool {
        !lock(&self.shared.fresh).is_disjoint(blobs)
    }

    /// Notes blobs that nobody may refer to any more.
    pub(crate) fn note_fresh(&self, digests: impl IntoIterator<Item = Digest>) {
        lock(&self.shared.fresh).extend(digests);
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn blob_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.shared.root.join("blobs").join(algorithm.name())
    }

    fn partial_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.shared.root.join("partial").join(algorithm.name())
    }

    fn ingest_dir(&self) -> PathBuf {
        self.shared.root.join("ingest")
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
