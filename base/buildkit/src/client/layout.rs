//! A folder of this machine in OCI layout: an index of what it holds, and blobs by their digests.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use linux::Errno;
use linux::root::RootDir;
use model::error::{ErrorKind, Kinded};
use oci::Digest;
use oci::image::{ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME, Descriptor, Index, layout, media};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value as Json, json};

/// The document that says what there is.
const INDEX: &str = "index.json";
/// What whoever changes the index holds a lock on; other programs do so, too.
const LOCK: &str = "index.json.lock";
/// How often somebody else's lock is waited for, and how long each time.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a document.
const LONGEST_DOCUMENT: u64 = 4 << 20;
/// Files and folders as the user's other ones, as far as the mask lets them.
const FILE: Mode = Mode::from_raw_mode(0o644);
const FOLDER: Mode = Mode::from_raw_mode(0o755);

/// The folder. No path leads out of it, whatever links there are in it.
#[derive(Debug)]
pub struct Layout {
    root: RootDir,
    path: PathBuf,
    /// Blobs somebody wanted to have in it since it was opened, in their order.
    taken: Mutex<Vec<Digest>>,
}

/// What a folder cannot be used for.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file or folder is not there or cannot be used.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A document of the folder makes no sense.
    #[error("{} is no document of an OCI layout", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A document of the folder is too long.
    #[error("{} has more than {LONGEST_DOCUMENT} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else changes the index.
    #[error("could not lock {}", path.display())]
    Locked {
        /// What the lock is on.
        path: PathBuf,
    },
    /// A blob is not there.
    #[error("content {digest}: not found in {}", folder.display())]
    NoBlob {
        /// Which.
        digest: Digest,
        /// The folder.
        folder: PathBuf,
    },
    /// A blob has other bytes than its name says.
    #[error("{} does not fit its name: its bytes have the digest {found}", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What they are.
        found: Digest,
    },
}

impl Kinded for LayoutError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
                _ => ErrorKind::Internal,
            },
            Self::Document { .. } | Self::TooLong { .. } | Self::Unfit { .. } => ErrorKind::Invalid,
            Self::Locked { .. } => ErrorKind::Unavailable,
            Self::NoBlob { .. } => ErrorKind::NotFound,
        }
    }
}

impl Layout {
    /// A folder that is there.
    ///
    /// # Errors
    /// When it is not, or is none.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let failed = |error: Errno| LayoutError::File {
            action: "open",
            path: path.to_owned(),
            source: io::Error::from(error),
        };
        let root = RootDir::open(path).map_err(failed)?;
        Ok(Self { root, path: path.to_owned(), taken: Mutex::default() })
    }

    /// A folder, made if it is not there yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(path: &Path) -> Result<Self, LayoutError> {
        std::fs::create_dir_all(path).map_err(|source| LayoutError::File {
            action: "mkdir",
            path: path.to_owned(),
            source,
        })?;
        Self::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the index knows by an image's name or a tag.
    ///
    /// # Errors
    /// When there is no index, or it makes no sense.
    pub fn named(&self, name: &str) -> Result<Option<Descriptor>, LayoutError> {
        let index = self.index()?;
        let by = |key: &str| {
            let is_it = |one: &&Descriptor| one.annotations.get(key).is_some_and(|known| known == name);
            index.manifests.iter().find(is_it).cloned()
        };
        Ok(by(ANNOTATION_IMAGE_NAME).or_else(|| by(ANNOTATION_REF_NAME)))
    }

    /// What the index knows, if that is one thing only.
    ///
    /// # Errors
    /// As [`Self::named`].
    pub fn only(&self) -> Result<Option<Descriptor>, LayoutError> {
        let mut all = self.index()?.manifests;
        Ok(if all.len() == 1 { all.pop() } else { None })
    }

    /// Bytes of a blob.
    ///
    /// # Errors
    /// When it is not there or no file.
    pub fn size(&self, digest: &Digest) -> Result<u64, LayoutError> {
        self.blob(digest).map(|(_, size)| size)
    }

    /// The document among what was taken that leads to the rest: the one that was told, or else the last one, as
    /// different exports of one build tell only one. None when nothing was taken or it has no such end.
    ///
    /// # Errors
    /// When the last one is there and cannot be read.
    pub fn taken(&self, told: &Descriptor) -> Result<Option<Descriptor>, LayoutError> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if taken.contains(&told.digest) {
            return Ok(Some(told.clone()));
        }
        let Some(last) = taken.last() else { return Ok(None) };
        if self.size(last)? > LONGEST_DOCUMENT {
            return Ok(None);
        }
        let bytes = self.document(&last.blob_path())?;
        let kind = serde_json::from_slice::<Json>(&bytes).ok();
        let kind = kind.as_ref().and_then(|json| json.get("mediaType")?.as_str());
        Ok(kind.map(|kind| Descriptor::new(kind, last.clone(), bytes.len() as u64)))
    }

    /// Makes the index know something by a tag; nothing else is known by that tag any more.
    ///
    /// # Errors
    /// When the index cannot be read or written, or somebody else does not let it go.
    pub fn put(&self, descriptor: &Descriptor, tag: &str) -> Result<(), LayoutError> {
        let _lock = self.lock()?;
        let mut index = match self.document(INDEX) {
            Ok(bytes) if !bytes.is_empty() => {
                // What it says is checked as far as it is known; what is not known stays.
                serde_json::from_slice::<Index>(&bytes).map_err(|source| self.unreadable(source))?;
                serde_json::from_slice(&bytes).map_err(|source| self.unreadable(source))?
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX }),
        };
        insert(&mut index, descriptor, tag);
        self.replace(layout::FILE, layout::DOCUMENT.as_bytes())?;
        self.replace(INDEX, index.to_string().as_bytes())
    }

    /// A blob, open, and its size.
    pub(super) fn blob(&self, digest: &Digest) -> Result<(File, u64), LayoutError> {
        let path = digest.blob_path();
        let (file, stat) = self.root.open_regular_with_stat(path.as_str()).map_err(|error| match error {
            Errno::NOENT => LayoutError::NoBlob { digest: digest.clone(), folder: self.path.clone() },
            error => self.failed("open", &path)(error.into()),
        })?;
        Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or_default()))
    }

    /// Remembers that somebody wanted to have a blob in it.
    pub(super) fn note(&self, digest: &Digest) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(digest.clone());
    }

    /// A new file beside others, with nothing in it yet; it goes unless it is kept.
    pub(super) fn temporary(&self, folder: &str) -> Result<Temporary<'_>, LayoutError> {
        if !folder.is_empty() {
            let made = self.root.make_dirs(folder, FOLDER);
            made.map_err(|error| self.failed("mkdir", folder)(error.into()))?;
        }
        let path = Path::new(folder).join(format!(".wharf-{}", &model::id::random_hex()[..16]));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = self.root.open_file(&path, flags, FILE).map_err(|error| LayoutError::File {
            action: "create",
            path: self.path.join(&path),
            source: error.into(),
        })?;
        Ok(Temporary { layout: self, path, file: File::from(file), is_kept: false })
    }

    /// A failure of something with a file of the folder.
    pub(super) fn failed(
        &self,
        action: &'static str,
        path: &str,
    ) -> impl Fn(io::Error) -> LayoutError + use<> {
        let path = self.path.join(path);
        move |source| LayoutError::File { action, path: path.clone(), source }
    }

    fn index(&self) -> Result<Index, LayoutError> {
        serde_json::from_slice(&self.document(INDEX)?).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: serde_json::Error) -> LayoutError {
        LayoutError::Document { path: self.path.join(INDEX), source }
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, LayoutError> {
        let file = self.root.open_regular(name).map_err(|error| self.failed("open", name)(error.into()))?;
        let mut bytes = Vec::new();
        let read = File::from(file).take(LONGEST_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(self.failed("read", name))?;
        match bytes.len() as u64 > LONGEST_DOCUMENT {
            true => Err(LayoutError::TooLong { path: self.path.join(name) }),
            false => Ok(bytes),
        }
    }

    /// Puts a document in the place of another one, at once.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let mut new = self.temporary("")?;
        new.file.write_all(bytes).map_err(self.failed("write", name))?;
        new.keep(name)
    }

    fn lock(&self) -> Result<Lock<'_>, LayoutError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let file = self.root.open_file(LOCK, flags, FILE);
        let file = File::from(file.map_err(|error| self.failed("open", LOCK)(error.into()))?);
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { layout: self, _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(self.failed("lock", LOCK)(error)),
            }
        }
        Err(LayoutError::Locked { path: self.path.join(LOCK) })
    }
}

/// Adds to the manifests of an index; those with the same tag and no other name go.
fn insert(index: &mut Json, descriptor: &Descriptor, tag: &str) {
    let mut descriptor = descriptor.clone();
    descriptor.annotations.insert(ANNOTATION_REF_NAME.to_owned(), tag.to_owned());
    let Some(index) = index.as_object_mut() else { return };
    let known = index.remove("manifests");
    let mut manifests = known.and_then(|known| known.as_array().cloned()).unwrap_or_default();
    manifests.retain(|one| {
        let annotation = |name: &str| one.get("annotations")?.get(name)?.as_str();
        annotation(ANNOTATION_REF_NAME) != Some(tag) || annotation(ANNOTATION_IMAGE_NAME).is_some()
    });
    manifests.extend(serde_json::to_value(&descriptor).ok());
    index.insert("manifests".to_owned(), Json::Array(manifests));
}

/// The index, as long as nobody else may change it.
struct Lock<'l> {
    layout: &'l Layout,
    _file: File,
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Other programs clean up the same way.
        let _ = self.layout.root.unlink(Path::new(LOCK));
    }
}

/// A file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct Temporary<'l> {
    layout: &'l Layout,
    path: PathBuf,
    pub(super) file: File,
    is_kept: bool,
}

impl Temporary<'_> {
    /// Gives it its name, once its bytes are where they survive.
    pub(super) fn keep(mut self, name: &str) -> Result<(), LayoutError> {
        self.file.sync_data().map_err(self.layout.failed("write", name))?;
        let renamed = self.layout.root.rename(&self.path, Path::new(name));
        renamed.map_err(|error| self.layout.failed("write", name)(error.into()))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.layout.root.unlink(&self.path);
        }
    }
}
