//! A registry without HTTP: repositories, blobs, uploads, manifests, tags, and what may be collected.

mod blob;
mod cache;
mod collect;
mod document;
mod lease;
mod lock;
mod manifest;
pub(crate) mod record;
mod referrer;
mod retention;
mod tag;
pub(crate) mod upload;
mod view;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oci::digest::Digest;

pub use blob::{Finished, Incoming, Mounted};
pub use cache::Manifest;
pub use collect::{Collected, Policy};
pub use document::{Document, MAX_MANIFEST};
pub use manifest::{NewManifest, Pushed};
pub use retention::Retention;
pub use tag::Page;
pub use view::TagView;

use crate::RegistryError;
use crate::name::Repository;
use crate::storage::{Change, Storage};
use cache::Cache;
use lease::Leases;
pub(crate) use lock::Locks;
use record::RepositoryRecord;
use upload::Uploads;

/// What a registry may be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// New and lately seen blobs that no manifest names stay so long.
    pub grace: Duration,
    /// Uploads that nobody adds to stay so long.
    pub upload_lifetime: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { grace: Duration::from_secs(3600), upload_lifetime: Duration::from_secs(24 * 3600) }
    }
}

/// A registry over a storage that it alone uses.
pub struct Registry {
    storage: Arc<dyn Storage>,
    options: Options,
    uploads: Uploads,
    cache: Cache,
    leases: Leases,
    /// Held while the manifests, tags or links of a repository change.
    repositories: Locks<Repository>,
    /// Held while a blob comes or goes.
    blobs: Locks<Digest>,
    /// Held by the one who collects.
    collecting: std::sync::Mutex<()>,
}

impl Registry {
    /// Opens a registry; uploads are kept in a folder of the local file system.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(storage: Arc<dyn Storage>, uploads: &Path, options: Options) -> Result<Self, RegistryError> {
        Ok(Self {
            uploads: Uploads::open(uploads.to_owned(), options.upload_lifetime)?,
            leases: Leases::new(options.grace),
            storage,
            options,
            cache: Cache::default(),
            repositories: Locks::default(),
            blobs: Locks::default(),
            collecting: std::sync::Mutex::default(),
        })
    }

    /// Names of the repositories after `last`, at most `most`, of those that `seen` lets through.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn catalog(
        &self,
        last: &str,
        most: usize,
        seen: impl Fn(&str) -> bool,
    ) -> Result<Page, RegistryError> {
        let keys = self.storage.keys(&record::repository_key(""))?;
        let prefix = record::repository_key("");
        let names = keys.iter().map(|key| record::behind(key, &prefix)).filter(|name| seen(name));
        Ok(Page::of(names, last, most))
    }

    /// Whether anything was ever pushed there.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn has_repository(&self, name: &Repository) -> Result<bool, RegistryError> {
        Ok(self.storage.record(&record::repository_key(name.as_str()))?.is_some())
    }

    /// Uploads under way.
    pub fn open_uploads(&self) -> usize {
        self.uploads.count()
    }

    /// The change that makes a repository known, if it is not.
    fn repository_change(&self, name: &Repository) -> Result<Option<Change>, RegistryError> {
        if self.has_repository(name)? {
            return Ok(None);
        }
        let new = RepositoryRecord { since: model::Timestamp::now().seconds() };
        Ok(Some(record::put(record::repository_key(name.as_str()), &new)?))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Registry").field("options", &self.options).finish_non_exhaustive()
    }
}
