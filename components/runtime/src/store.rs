//! What the command line program remembers of containers between its calls.
//!
//! ```text
//! <root>/<id>/state.json    the record
//! <root>/<id>/config.json   the specification as it was at creation
//! <root>/<id>/start.sock    the gate; gone once the command runs
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use model::{ErrorKind, Kinded};
use oci::runtime::Spec;

use crate::container::Container;

/// A failure of remembering.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id has characters that do not belong in one.
    #[error("invalid container id format: {id:?}")]
    Id {
        /// As given.
        id: String,
    },
    /// Another container has the id.
    #[error("container with given ID already exists")]
    Exists,
    /// There is no such container.
    #[error("container does not exist")]
    Absent,
    /// The container's state does not allow this.
    #[error("{message}")]
    State {
        /// In runc's words.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The control group did not do what it should.
    #[error(transparent)]
    Cgroup(#[from] linux::cgroup::Error),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] crate::Error),
}

impl Kinded for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Id { .. } => ErrorKind::Invalid,
            Self::Exists | Self::State { .. } => ErrorKind::Conflict,
            Self::Absent => ErrorKind::NotFound,
            Self::Cgroup(error) => error.kind(),
            Self::Runtime(error) => error.kind(),
            Self::File { .. } | Self::Document { .. } => ErrorKind::Internal,
        }
    }
}

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// A directory of containers.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What is remembered of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Process 1 as the host sees it.
    pub pid: i32,
    /// When that process began, in clock ticks since boot: another process with the same id began at another time.
    pub start_time: u64,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root file system's directory.
    pub rootfs: PathBuf,
    /// When it was made.
    pub created: String,
    /// Its cgroup within the hierarchies.
    pub cgroup: Option<String>,
    /// Version of its specification.
    pub oci_version: String,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Store {
    /// The store below a directory, which is made when first needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reserves an id: its directory, empty.
    pub fn reserve(&self, id: &str) -> Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt as _;
        check_id(id)?;
        let path = self.root.join(id);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { path, source }
        };
        let builder = std::fs::DirBuilder::new;
        builder().mode(0o700).recursive(true).create(&self.root).map_err(failed(&self.root))?;
        match builder().mode(0o711).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists),
            result => result.map(|()| path.clone()).map_err(failed(&path)),
        }
    }

    /// A container by its id.
    pub fn load(&self, id: &str) -> Result<Container> {
        check_id(id)?;
        let directory = self.root.join(id);
        match read(&directory.join("state.json")) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Err(Error::Absent),
            Err(error) => Err(error),
            Ok(record) => Ok(Container::new(directory, record)),
        }
    }

    /// Removes what is left of an id that never became a container.
    pub fn forget(&self, id: &str) -> Result<()> {
        check_id(id)?;
        let path = self.root.join(id);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Absent),
            result => result.map_err(|source| Error::File { path, source }),
        }
    }

    /// All containers, by id.
    pub fn list(&self) -> Result<Vec<Container>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(|source| Error::File { path: self.root.clone(), source })?,
        };
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|id| check_id(id).is_ok())
            .collect();
        ids.sort();
        Ok(ids.iter().filter_map(|id| self.load(id).ok()).collect())
    }
}

/// Reads a JSON document.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::Document { path: path.to_owned(), source })
}

/// Writes a JSON document so that readers see the old or the new one, never a part.
pub fn write<T: serde::Serialize>(path: &Path, document: &T) -> Result<()> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let text =
        serde_json::to_vec(document).map_err(|source| Error::Document { path: path.to_owned(), source })?;
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, text).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

/// The specification of a bundle.
pub fn read_spec(bundle: &Path) -> Result<Spec> {
    read(&bundle.join("config.json"))
}

/// Letters, digits and `_+-.`, but no name of the file system's own.
fn check_id(id: &str) -> Result<()> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_+-.".contains(character);
    if id.is_empty() || id.len() > 1024 || id == "." || id == ".." || !id.chars().all(plain) {
        return Err(Error::Id { id: id.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names() {
        for id in ["a", "web_1", "A-b.c+d"] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "ä", "a\0", "a\n"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn an_id_is_reserved_once() {
        let root = std::env::temp_dir().join(format!("wharf-store-{}", std::process::id()));
        let store = Store::new(&root);
        assert!(store.list().unwrap().is_empty());
        store.reserve("a").unwrap();
        assert!(matches!(store.reserve("a"), Err(Error::Exists)));
        assert!(matches!(store.load("a"), Err(Error::Absent)));
        assert!(matches!(store.load("b"), Err(Error::Absent)));
        store.forget("a").unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }
}
