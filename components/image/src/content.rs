//! Blobs by digest: a file appears under its name only when it is complete, verified and on disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oci::Digest;
use oci::digest::{Algorithm, Digester};
use serde::de::DeserializeOwned;

use crate::ImageError;
use crate::error::{Result, file_error};

/// Largest manifest, index or configuration that is read, bytes.
pub const DOCUMENT_LIMIT: u64 = 8 << 20;

/// The directory of blobs.
#[derive(Debug, Clone)]
pub struct Content {
    root: PathBuf,
}

impl Content {
    /// Opens the directory (made 0700) and removes unfinished ingests.
    pub fn open(root: &Path) -> Result<Self> {
        let content = Self { root: root.to_owned() };
        store::file::make_private_dir(root).map_err(file_error("prepare", root))?;
        let ingest = content.ingest_dir();
        match std::fs::remove_dir_all(&ingest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error("clean", &ingest)(error));
            }
            _ => {}
        }
        for directory in [ingest, content.blob_dir(Algorithm::Sha256), content.blob_dir(Algorithm::Sha512)] {
            store::file::make_private_dir(&directory).map_err(file_error("prepare", &directory))?;
        }
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

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ImageError::MissingBlob { digest: digest.clone() },
            _ => file_error("open", &path)(error),
        })
    }

    /// The bytes of a document, verified.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let mut file = self.open_blob(digest)?.take(DOCUMENT_LIMIT + 1);
        file.read_to_end(&mut bytes).map_err(file_error("read", &path))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge { what: digest.to_string(), limit: DOCUMENT_LIMIT });
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

    /// Starts to take in a blob.
    pub fn ingest(&self, algorithm: Algorithm) -> Result<Ingest> {
        let path = self.ingest_dir().join(model::id::random_hex());
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(file_error("create", &path))?;
        let digester = Digester::new(algorithm);
        Ok(Ingest { content: self.clone(), path, file, digester, size: 0, finished: false })
    }

    /// Takes in some bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.size(&digest).is_none() {
            let mut ingest = self.ingest(Algorithm::Sha256)?;
            let path = ingest.path.clone();
            ingest.write_all(bytes).map_err(file_error("write", &path))?;
            ingest.finish(Some(&digest))?;
        }
        Ok(digest)
    }

    /// All blobs.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
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
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Makes the names of new blobs survive a power cut; called before a record refers to them.
    pub fn sync(&self) -> Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = self.blob_dir(algorithm);
            File::open(&directory)
                .and_then(|directory| directory.sync_all())
                .map_err(file_error("flush", &directory))?;
        }
        Ok(())
    }

    fn blob_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.name())
    }

    fn ingest_dir(&self) -> PathBuf {
        self.root.join("ingest")
    }
}

/// A blob that is coming in. Dropped without [`Self::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Ingest {
    content: Content,
    path: PathBuf,
    file: File,
    digester: Digester,
    size: u64,
    finished: bool,
}

impl Ingest {
    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Verifies, flushes and names the blob; answers its digest and size.
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = self.digester.clone().finish();
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(ImageError::Mismatch { expected: expected.clone(), found: digest });
        }
        if self.content.size(&digest).is_none() {
            self.file.sync_data().map_err(file_error("flush", &self.path))?;
            let target = self.content.path(&digest);
            std::fs::rename(&self.path, &target).map_err(file_error("name", &target))?;
            self.finished = true;
        }
        Ok((digest, self.size))
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.finished {
            // What stays is removed at the next open.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
