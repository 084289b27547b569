//! A folder as a context: its root, the ignore file that counts, reading single files of it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use linux::Errno;
use linux::root::RootDir;
use rustix::fs::OFlags;

use crate::error::ContextError;
use crate::walk::{Entry, Limits, Walk};
use crate::{Ignore, IgnoreError};

/// The ignore file of a folder.
const IGNORE_FILE: &str = ".dockerignore";
/// Longest ignore file, in bytes.
const LONGEST_IGNORE: u64 = 1 << 20;

/// A folder that is open.
#[derive(Debug)]
pub struct Context {
    root: RootDir,
    path: PathBuf,
    identity: (u64, u64),
    ignore: Ignore,
    ignore_file: Option<PathBuf>,
    dockerfile: Option<PathBuf>,
    limits: Limits,
}

impl Context {
    /// Opens a folder. `dockerfile` is the path of the build's Dockerfile in it, when it is in it: the ignore file
    /// with that name and `.dockerignore` behind it counts before the one at the root.
    ///
    /// # Errors
    /// When there is no folder, or its ignore file cannot be understood.
    pub fn open(path: &Path, dockerfile: Option<&Path>) -> Result<Self, ContextError> {
        let root = RootDir::open(path).map_err(|error| match error {
            Errno::NOENT => ContextError::Missing { path: path.to_owned() },
            Errno::NOTDIR => ContextError::NoDirectory { path: path.to_owned() },
            error => ContextError::read("open", path)(error),
        })?;
        Self::of(root, path, dockerfile)
    }

    /// The same of a folder that is open already; `path` is its name in messages.
    ///
    /// # Errors
    /// When its ignore file cannot be understood.
    pub fn of(root: RootDir, path: &Path, dockerfile: Option<&Path>) -> Result<Self, ContextError> {
        let stat = rustix::fs::fstat(&root).map_err(ContextError::read("look at", path))?;
        let mut context = Self {
            root,
            path: path.to_owned(),
            identity: (stat.st_dev, stat.st_ino),
            ignore: Ignore::default(),
            ignore_file: None,
            dockerfile: dockerfile.map(Path::to_owned),
            limits: Limits::DEFAULT,
        };
        let own = dockerfile.map(beside);
        for candidate in own.into_iter().chain([PathBuf::from(IGNORE_FILE)]) {
            if let Some(text) = context.read(&candidate, LONGEST_IGNORE)? {
                context.ignore = Ignore::read(&String::from_utf8_lossy(&text))?;
                context.ignore_file = Some(candidate);
                break;
            }
        }
        Ok(context)
    }

    /// With the patterns of an ignore file that is somewhere else, in place of its own.
    #[must_use]
    pub fn with_ignore(mut self, ignore: Ignore) -> Self {
        self.ignore = ignore;
        self.ignore_file = None;
        self
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Device and inode of the folder: equal on two sides, it is the same folder.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// The folder, for whoever opens files of it.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// Its name in messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is hidden.
    pub fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// The ignore file that counts, relative to the folder.
    pub fn ignore_file(&self) -> Option<&Path> {
        self.ignore_file.as_deref()
    }

    /// The Dockerfile, relative to the folder.
    pub fn dockerfile(&self) -> Option<&Path> {
        self.dockerfile.as_deref()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Everything a build may see, folders before what is in them. A hidden folder with something seen below it is
    /// not there itself. An ignored Dockerfile is not there either: it is read with [`Context::read`].
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self, Vec::new())
    }

    /// A regular file of the folder, links followed inside of it; none when there is nothing of that name.
    ///
    /// # Errors
    /// When it cannot be read, is no file, or has more than `most` bytes.
    pub fn read(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, ContextError> {
        let place = self.path.join(path);
        let file = match self.root.open_regular(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            file => File::from(file.map_err(ContextError::read("open", &place))?),
        };
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|source| ContextError::Read {
            operation: "read",
            path: place,
            source,
        })?;
        if bytes.len() as u64 > most {
            return Err(ContextError::Limit { what: "bytes in a file that is read whole", limit: most });
        }
        Ok(Some(bytes))
    }

    /// Opens the file of an entry, which has to be a regular file still.
    ///
    /// # Errors
    /// When it cannot be opened or is something else by now.
    pub fn open_file(&self, entry: &Entry) -> Result<File, ContextError> {
        let place = || self.path.join(&entry.path);
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        let name = entry.path.file_name().unwrap_or_default();
        let folder = self.root.resolve_plain(parent).map_err(ContextError::read("open", &place()))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, rustix::fs::Mode::empty());
        let file = file.map_err(ContextError::read("open", &place()))?;
        let stat = rustix::fs::fstat(&file).map_err(ContextError::read("look at", &place()))?;
        if !linux::root::is_regular(&stat) {
            return Err(ContextError::read("open", &place())(Errno::INVAL));
        }
        Ok(File::from(file))
    }
}

/// The ignore file that belongs to one Dockerfile.
fn beside(dockerfile: &Path) -> PathBuf {
    let mut name = OsString::from(dockerfile);
    name.push(IGNORE_FILE);
    PathBuf::from(name)
}

impl Ignore {
    /// The ignore file beside a Dockerfile anywhere, when there is one.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn beside(dockerfile: &Path) -> Result<Option<Self>, ContextError> {
        let path = beside(dockerfile);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file,
        };
        let mut bytes = Vec::new();
        let read = file.and_then(|file| file.take(LONGEST_IGNORE + 1).read_to_end(&mut bytes));
        read.map_err(|source| ContextError::Read { operation: "read", path, source })?;
        if bytes.len() as u64 > LONGEST_IGNORE {
            let limit = usize::try_from(LONGEST_IGNORE).unwrap_or(usize::MAX);
            return Err(IgnoreError::TooMuch { what: "bytes", limit }.into());
        }
        Ok(Some(Self::read(&String::from_utf8_lossy(&bytes))?))
    }
}
