//! A folder: records and small blobs in the tables of `store`, every other blob a file of its own.
//!
//! ```text
//! state.redb                 records, and blobs up to SMALL bytes
//! journal                    what is acknowledged but perhaps not on the disk in there
//! blobs/sha256/ab/abcd...    one file for each larger blob
//! ```
//! Small blobs live in the tables since making a file durable costs two waits for the disk, and a commit that
//! several requests share costs less than one.

mod commit;
mod journal;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use oci::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Store, Table};

use super::{Blob, Change, Content, Storage, StorageError, Stored};
use commit::Committer;
use journal::Row;

/// Blobs of at most so many bytes are kept in the tables.
pub const SMALL: u64 = 32 * 1024;

const RECORDS: Table<Box<RawValue>> = Table::new("registry");
const SMALL_BLOBS: Table<SmallBlob> = Table::new("registry-blobs");

#[derive(Serialize, Deserialize)]
struct SmallBlob {
    /// Seconds since the epoch.
    since: i64,
    /// Base64, as records are JSON.
    bytes: String,
}

/// Storage in a folder of the local file system.
#[derive(Debug)]
pub struct LocalStorage {
    store: Store,
    committer: Committer,
    blobs: PathBuf,
}

impl LocalStorage {
    /// Opens or makes the folder (mode 0700).
    ///
    /// # Errors
    /// When it can't be made, or another process has it open.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let store = Store::open(root)?;
        let blobs = root.join("blobs");
        store::file::make_private_dir(&blobs).map_err(|source| StorageError::File {
            operation: "make",
            path: blobs.clone(),
            source,
        })?;
        let committer = Committer::open(store.clone(), root)?;
        Ok(Self { store, committer, blobs })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let group = hex.get(..2).unwrap_or_default();
        self.blobs.join(digest.algorithm().name()).join(group).join(hex)
    }

    /// Gives a file its place as well, durable at return. Its own name stays for its owner to remove, so that an end of the
    /// process before the blob is recorded loses nothing.
    fn adopt(&self, digest: &Digest, file: &Path) -> Result<(), StorageError> {
        let target = self.path(digest);
        let failed = |source| StorageError::File { operation: "store", path: target.clone(), source };
        File::open(file).and_then(|file| file.sync_data()).map_err(failed)?;
        make_folder_of(&target).map_err(failed)?;
        // What is there already is not what it should be, and some file systems know one name only.
        std::fs::hard_link(file, &target).or_else(|_| std::fs::rename(file, &target)).map_err(failed)?;
        store::file::sync_parent(&target).map_err(failed)
    }
}

impl Storage for LocalStorage {
    fn record(&self, key: &str) -> Result<Option<String>, StorageError> {
        Ok(self.store.get(&RECORDS, key)?.map(|raw| Box::<str>::from(raw).into_string()))
    }

    fn records(&self, prefix: &str) -> Result<Vec<(String, String)>, StorageError> {
        let found = self.store.list_prefix(&RECORDS, prefix)?;
        Ok(found.into_iter().map(|(key, raw)| (key, Box::<str>::from(raw).into_string())).collect())
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        Ok(self.store.list_prefix(&RECORDS, prefix)?.into_iter().map(|(key, _)| key).collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.committer.commit(&rows(changes)?)
    }

    fn put_blob(
        &self,
        digest: &Digest,
        content: Content<'_>,
        changes: Vec<Change>,
    ) -> Result<(), StorageError> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::File(path, size) if size <= SMALL => read(path)?,
            Content::File(path, _) => {
                self.adopt(digest, path)?;
                return self.commit(changes);
            }
        };
        if bytes.len() as u64 > SMALL {
            let target = self.path(digest);
            let failed = |source| StorageError::File { operation: "store", path: target.clone(), source };
            make_folder_of(&target).map_err(failed)?;
            store::file::replace(&target, &bytes, store::Durability::Durable)?;
            return self.commit(changes);
        }
        let small =
            SmallBlob { since: model::Timestamp::now().seconds(), bytes: STANDARD_NO_PAD.encode(bytes) };
        let damaged = |_| StorageError::Damaged { what: digest.to_string() };
        let value = serde_json::value::to_raw_value(&small).map_err(damaged)?;
        let mut rows = rows(changes)?;
        rows.push(Row { blob: true, key: digest.to_string(), value: Some(value) });
        self.committer.commit(&rows)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        Ok(self.open_blob(digest)?.map(|blob| blob.size()))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StorageError> {
        let path = self.path(digest);
        match File::open(&path).and_then(|file| file.metadata().map(|data| (file, data.len()))) {
            Ok((file, size)) => return Ok(Some(Blob::File(file, size))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::File { operation: "open", path, source }),
        }
        let Some(small) = self.store.get(&SMALL_BLOBS, digest.as_str())? else { return Ok(None) };
        let damaged = |_| StorageError::Damaged { what: digest.to_string() };
        STANDARD_NO_PAD.decode(small.bytes).map(|bytes| Some(Blob::Bytes(bytes))).map_err(damaged)
    }

    fn remove_blob(&self, digest: &Digest) -> Result<(), StorageError> {
        self.committer.commit(&[Row { blob: true, key: digest.to_string(), value: None }])?;
        store::file::remove(&self.path(digest)).or_else(|error| match error {
            // Its folder was never made.
            store::StoreError::File { ref source, .. } if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Err(other.into()),
        })
    }

    fn blobs(&self) -> Result<Vec<Stored>, StorageError> {
        let mut found = Vec::new();
        for (key, small) in self.store.list(&SMALL_BLOBS)? {
            let digest = key.parse().map_err(|_| StorageError::Damaged { what: key })?;
            let size = (small.bytes.len() * 3 / 4) as u64;
            found.push(Stored { digest, size, since: small.since });
        }
        for algorithm in entries(&self.blobs)? {
            for group in entries(&algorithm)? {
                for file in entries(&group)? {
                    found.extend(stored(&algorithm, &file));
                }
            }
        }
        Ok(found)
    }
}

/// Changes of records as rows.
fn rows(changes: Vec<Change>) -> Result<Vec<Row>, StorageError> {
    let row = |change| match change {
        Change::Put(key, value) => match RawValue::from_string(value) {
            Ok(value) => Ok(Row { blob: false, key, value: Some(value) }),
            Err(_) => Err(StorageError::Damaged { what: key }),
        },
        Change::Remove(key) => Ok(Row { blob: false, key, value: None }),
    };
    changes.into_iter().map(row).collect()
}

/// Makes the folder of a blob, durable at return.
fn make_folder_of(target: &Path) -> io::Result<()> {
    let Some(folder) = target.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    store::file::make_private_dir(folder)?;
    // Both levels may be new.
    store::file::sync_parent(folder)?;
    folder.parent().map_or(Ok(()), store::file::sync_parent)
}

/// A file in the place of a blob; anything else found there is left alone.
fn stored(algorithm: &Path, file: &Path) -> Option<Stored> {
    let name = format!("{}:{}", algorithm.file_name()?.to_str()?, file.file_name()?.to_str()?);
    let data = std::fs::metadata(file).ok()?;
    let since = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Stored { digest: name.parse().ok()?, size: data.len(), since: i64::try_from(since).ok()? })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let failed = |source| StorageError::File { operation: "list", path: folder.to_owned(), source };
    let list = std::fs::read_dir(folder).map_err(failed)?;
    list.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, StorageError> {
    std::fs::read(path).map_err(|source| StorageError::File {
        operation: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
