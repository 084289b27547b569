//! What clients do with uploads, in any order, compared with a model: bytes in pairs of what to do and how much.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::digest::{Algorithm, Digest};
use registry::name::Repository;
use registry::registry::Incoming;
use registry::storage::{Blob, Change, Content, SMALL, Storage, StorageError, Stored};
use registry::{Options, Registry, RegistryError};

/// Steps of one run at most.
const STEPS: usize = 40;
/// What a large chunk has: more than a block, so that a thread hashes it.
const LARGE: usize = 300_000;

/// Records and blobs in memory.
#[derive(Default)]
struct Memory {
    records: Mutex<BTreeMap<String, String>>,
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Storage for Memory {
    fn record(&self, key: &str) -> Result<Option<String>, StorageError> {
        Ok(lock(&self.records).get(key).cloned())
    }

    fn records(&self, prefix: &str) -> Result<Vec<(String, String)>, StorageError> {
        let records = lock(&self.records);
        let found = records.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        Ok(self.records(prefix)?.into_iter().map(|(key, _)| key).collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut records = lock(&self.records);
        for change in changes {
            match change {
                Change::Put(key, value) => drop(records.insert(key, value)),
                Change::Remove(key) => drop(records.remove(&key)),
            }
        }
        Ok(())
    }

    fn put_blob(
        &self,
        digest: &Digest,
        content: Content<'_>,
        changes: Vec<Change>,
    ) -> Result<(), StorageError> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::File(path, size) => {
                let bytes = std::fs::read(path).expect("an upload has its file");
                assert_eq!(bytes.len() as u64, size, "the file holds what is counted");
                bytes
            }
        };
        assert_eq!(Digest::of(&bytes), *digest, "a blob is what its digest says");
        lock(&self.blobs).insert(digest.to_string(), bytes);
        self.commit(changes)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        Ok(lock(&self.blobs).get(digest.as_str()).map(|bytes| bytes.len() as u64))
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StorageError> {
        Ok(lock(&self.blobs).get(digest.as_str()).cloned().map(Blob::Bytes))
    }

    fn remove_blob(&self, digest: &Digest) -> Result<(), StorageError> {
        lock(&self.blobs).remove(digest.as_str());
        Ok(())
    }

    fn blobs(&self) -> Result<Vec<Stored>, StorageError> {
        let blobs = lock(&self.blobs);
        let stored = |(key, bytes): (&String, &Vec<u8>)| {
            key.parse().ok().map(|digest| Stored { digest, size: bytes.len() as u64, since: 0 })
        };
        Ok(blobs.iter().filter_map(stored).collect())
    }
}

/// A client that breaks off after its bytes.
struct Breaking<'a>(&'a [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        match self.0.read(output) {
            Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
            other => other,
        }
    }
}

/// One upload, and what it should hold.
struct Expected {
    name: Repository,
    id: String,
    bytes: Vec<u8>,
}

struct Run {
    folder: PathBuf,
    storage: Arc<Memory>,
    registry: Registry,
    open: Vec<Expected>,
    /// Their own ones, so that no two uploads hold the same.
    made: u8,
}

/// Uploads under a random client, restarts included: sizes and bytes are those of the model, what ended is unknown, and at
/// the end nothing is left.
pub fn registry_upload(data: &[u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Files are made and removed all the time: in memory, where there is such a place.
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("wharf-fuzz-upload-{}-{number}", std::process::id()));
    let storage = Arc::new(Memory::default());
    let registry = open(&storage, &folder);
    let mut run = Run { folder, storage, registry, open: Vec::new(), made: 0 };
    for step in data.chunks(2).take(STEPS) {
        run.step(step.first().copied().unwrap_or_default(), step.get(1).copied().unwrap_or_default());
    }
    run.end();
}

fn open(storage: &Arc<Memory>, folder: &Path) -> Registry {
    Registry::open(Arc::clone(storage) as Arc<dyn Storage>, folder, Options::default()).expect("a folder")
}

impl Run {
    fn step(&mut self, what: u8, how: u8) {
        let chosen = usize::from(how) % self.open.len().max(1);
        match what % 10 {
            0 => self.begin(how),
            1 => self.append(chosen, usize::from(how) * 9, None, false),
            2 => self.finish(chosen, true),
            3 => self.append(chosen, usize::from(how), None, true),
            4 => self.append(chosen, usize::from(how), Some(u64::from(how)), false),
            5 => self.ask(chosen),
            6 => self.cancel(chosen),
            7 => self.finish(chosen, false),
            8 => self.restart(how.is_multiple_of(2)),
            _ => self.append(chosen, LARGE + usize::from(how), None, how.is_multiple_of(3)),
        }
    }

    fn begin(&mut self, how: u8) {
        let name: Repository = if how.is_multiple_of(2) { "a/b" } else { "c" }.parse().expect("a name");
        let id = self.registry.begin_upload(&name, Algorithm::Sha256).expect("few are open");
        self.made = self.made.wrapping_add(1);
        self.open.push(Expected { name, id, bytes: Vec::new() });
    }

    fn append(&mut self, at: usize, length: usize, start: Option<u64>, breaks: bool) {
        let made = self.made;
        let Some(upload) = self.open.get_mut(at) else { return };
        let mut bytes: Vec<u8> =
            (0..=250).map(|place| place ^ made).collect::<Vec<u8>>().repeat(length / 251 + 1);
        bytes.truncate(length);
        let (mut whole, mut breaking) = (bytes.as_slice(), Breaking(&bytes));
        let body: &mut dyn Read = if breaks { &mut breaking } else { &mut whole };
        let incoming = Incoming { body, announced: (!breaks).then_some(length as u64), start };
        let result = self.registry.append_upload(&upload.name, &upload.id, incoming);
        let held = upload.bytes.len() as u64;
        match result {
            Err(RegistryError::UploadRange { size }) => {
                assert!(start.is_some_and(|start| start != held) && size == held)
            }
            Err(RegistryError::Client(_)) if breaks => upload.bytes.extend_from_slice(&bytes),
            Ok(size) if !breaks => {
                upload.bytes.extend_from_slice(&bytes);
                assert_eq!(size, upload.bytes.len() as u64);
            }
            other => panic!("append: {other:?}"),
        }
        self.ask(at);
    }

    fn ask(&self, at: usize) {
        let Some(upload) = self.open.get(at) else { return };
        let size = self.registry.upload_size(&upload.name, &upload.id);
        assert_eq!(size.ok(), Some(upload.bytes.len() as u64));
        // It is nobody else's.
        let other: Repository = "other".parse().expect("a name");
        assert!(matches!(self.registry.upload_size(&other, &upload.id), Err(RegistryError::UploadUnknown)));
    }

    /// Ends one with its digest, or another; both times it is gone.
    fn finish(&mut self, at: usize, right: bool) {
        if at >= self.open.len() {
            return;
        }
        let upload = self.open.swap_remove(at);
        let digest = Digest::of(if right { &upload.bytes } else { b"another" });
        let incoming = Incoming { body: &mut io::empty(), announced: Some(0), start: None };
        match self.registry.finish_upload(&upload.name, &upload.id, &digest, incoming) {
            Ok(finished) => assert!(right && finished.size == upload.bytes.len() as u64),
            Err(RegistryError::DigestMismatch { .. }) => assert!(!right),
            Err(other) => panic!("finish: {other:?}"),
        }
        assert!(self.registry.upload_size(&upload.name, &upload.id).is_err());
        if right {
            let blob = self.registry.open_blob(&upload.name, &digest).expect("a finished upload is a blob");
            assert!(blob.read_all(1 << 30).ok() == Some(upload.bytes), "of the bytes that came");
        }
    }

    fn cancel(&mut self, at: usize) {
        if at < self.open.len() {
            let upload = self.open.swap_remove(at);
            self.registry.cancel_upload(&upload.name, &upload.id).expect("it was open");
            assert!(self.registry.cancel_upload(&upload.name, &upload.id).is_err());
        }
    }

    /// Another process takes over, after an orderly end or a crash; a crash takes what is small.
    fn restart(&mut self, orderly: bool) {
        if orderly {
            self.registry.keep_uploads().expect("a disk");
        }
        self.registry = open(&self.storage, &self.folder);
        let registry = &self.registry;
        self.open.retain(|upload| match registry.upload_size(&upload.name, &upload.id) {
            Ok(size) => {
                assert_eq!(size, upload.bytes.len() as u64);
                true
            }
            Err(_) => {
                assert!(
                    !orderly && upload.bytes.len() as u64 <= SMALL,
                    "{} bytes are lost",
                    upload.bytes.len()
                );
                false
            }
        });
    }

    fn end(mut self) {
        while !self.open.is_empty() {
            self.cancel(0);
        }
        let left = std::fs::read_dir(&self.folder).map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "files of uploads that ended");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
