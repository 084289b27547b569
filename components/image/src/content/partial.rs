//! Blobs whose digest is known before they come: one taker at a time, and what came stays for the next one.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use oci::Digest;
use oci::digest::Digester;
use oci::image::Descriptor;

use super::{ALGORITHMS, Content, HASH_BLOCK, Ingest, lock, remove_file};
use crate::error::{Result, file_error};

/// Whether and where to go on with a blob.
#[derive(Debug)]
pub enum Resumed {
    /// It is there, nothing has to be had.
    Present,
    /// It is ours to take in, from [`Ingest::size`] on.
    Ours(Box<Ingest>),
    /// Somebody else is still taking it in.
    Busy,
}

/// The right to take in one blob.
#[derive(Debug)]
pub(super) struct Claim {
    content: Content,
    pub(super) blob: Descriptor,
}

impl Content {
    /// Goes on with a blob where an earlier attempt stopped, be it one of another process: what is there is hashed
    /// again first. While somebody else takes in the same blob this waits, but not longer than `patience`.
    ///
    /// # Errors
    /// When the blob is there with another size than the descriptor says, or files cannot be read.
    pub fn resume(&self, blob: &Descriptor, patience: Duration) -> Result<Resumed> {
        let Some(claim) = self.claim(blob, patience) else { return Ok(Resumed::Busy) };
        if self.has(blob)? {
            return Ok(Resumed::Present);
        }
        let path = self.partial_path(&blob.digest);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(file_error("open", &path))?;
        let size = file.metadata().map_err(file_error("look at", &path))?.len();
        if size > blob.size {
            file.set_len(0).map_err(file_error("empty", &path))?;
        }
        let mut digester = Digester::new(blob.digest.algorithm());
        let size = digester.update_from(&mut file, HASH_BLOCK).map_err(file_error("read", &path))?;
        if size == blob.size && digester.clone().finish() != blob.digest {
            // A power cut may leave anything.
            file.set_len(0).map_err(file_error("empty", &path))?;
            let fresh = Digester::new(blob.digest.algorithm());
            return Ok(Resumed::Ours(Box::new(Ingest::new(self, path, file, fresh, 0, Some(claim)))));
        }
        Ok(Resumed::Ours(Box::new(Ingest::new(self, path, file, digester, size, Some(claim)))))
    }

    fn claim(&self, blob: &Descriptor, patience: Duration) -> Option<Claim> {
        let end = Instant::now() + patience;
        let mut busy = lock(&self.shared.busy);
        while !busy.insert(blob.digest.clone()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.shared.freed.wait_timeout(busy, left);
            busy = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        Some(Claim { content: self.clone(), blob: blob.clone() })
    }

    /// Blobs that are part of an image now need no second name.
    pub(crate) fn settle<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Result<()> {
        digests.into_iter().try_for_each(|digest| remove_file(&self.partial_path(digest)))
    }

    /// Removes what is there of blobs nobody is taking in when it is older than `age`, and then the oldest until
    /// `bytes` are left. Answers the bytes that were removed.
    pub fn trim_partial(&self, age: Duration, bytes: u64) -> Result<u64> {
        let mut found = self.partials()?;
        found.sort_by_key(|partial| std::cmp::Reverse(partial.modified));
        let now = SystemTime::now();
        let (mut kept, mut removed) = (0u64, 0u64);
        for partial in found {
            let old = now.duration_since(partial.modified).is_ok_and(|passed| passed >= age);
            if !old && kept.saturating_add(partial.size) <= bytes {
                kept += partial.size;
                continue;
            }
            let busy = lock(&self.shared.busy);
            if !busy.contains(&partial.digest) {
                remove_file(&partial.path)?;
                removed += partial.size;
            }
        }
        Ok(removed)
    }

    fn partials(&self) -> Result<Vec<Partial>> {
        let mut found = Vec::new();
        for algorithm in ALGORITHMS {
            let directory = self.partial_dir(algorithm);
            for entry in std::fs::read_dir(&directory).map_err(file_error("list", &directory))? {
                let entry = entry.map_err(file_error("list", &directory))?;
                let text = format!("{}:{}", algorithm.name(), entry.file_name().to_string_lossy());
                let metadata = match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.map_err(file_error("look at", &entry.path()))?,
                };
                match text.parse() {
                    Ok(digest) => found.push(Partial {
                        digest,
                        path: entry.path(),
                        size: metadata.len(),
                        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    }),
                    // Nothing of ours has such a name.
                    Err(_) => remove_file(&entry.path())?,
                }
            }
        }
        Ok(found)
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.partial_dir(digest.algorithm()).join(digest.hex())
    }
}

struct Partial {
    digest: Digest,
    path: PathBuf,
    size: u64,
    modified: SystemTime,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.content.shared.busy).remove(&self.blob.digest);
        self.content.shared.freed.notify_all();
    }
}
