//! Cache mounts leave and come as archives: what one machine has fetched, the next need not fetch again.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ::archive::{ExtractOptions, TreeOptions};
use linux::root::RootDir;

use super::Builds;
use super::caches::Lock;
use crate::error::Context;
use crate::{Error, Result};

/// A cache mount that is going to be written as an archive; no step has it for itself meanwhile.
pub struct MountArchive {
    lock: Lock,
}

impl std::fmt::Debug for MountArchive {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "MountArchive({})", self.lock.path().display())
    }
}

impl Builds<'_> {
    /// Opens a cache mount by its id, which is its target where a Dockerfile says no other.
    ///
    /// # Errors
    /// When no step has ever had one of that id.
    pub fn export_mount(&self, id: &str) -> Result<MountArchive> {
        let caches = &self.inner.build.caches;
        caches.existing(&self.inner.layout, id).map(|lock| MountArchive { lock })
    }

    /// Makes an archive the content of a cache mount, in place of what it has; it waits for steps that use the mount.
    ///
    /// # Errors
    /// When the archive cannot be unpacked; the mount is as it was then.
    pub fn import_mount(&self, id: &str, archive: &mut dyn Read) -> Result<()> {
        if id.is_empty() {
            return Err(Error::invalid("a cache mount needs an id"));
        }
        let aside = Aside::new(&self.inner.layout.temporary_dir())?;
        let root = RootDir::open(&aside.0).doing(|| format!("opening {}", aside.0.display()))?;
        ::archive::extract(archive, &root, Path::new(""), &ExtractOptions::copy()).map_err(|error| {
            Error::invalid(format!("no archive for a cache mount: {}", model::error::chain(&error)))
        })?;
        self.inner.build.caches.replace(&self.inner.layout, id, &aside.0)
    }
}

impl MountArchive {
    /// Writes the archive.
    ///
    /// # Errors
    /// When nobody takes it any more, or the files cannot be read.
    pub fn write_to(self, out: &mut dyn Write) -> Result<()> {
        let folder = self.lock.path();
        let doing = || format!("reading {}", folder.display());
        let root = File::open(folder).doing(doing)?;
        // The folder's own mode and owner go along.
        ::archive::write_tree(root.as_fd(), &TreeOptions::named("."), out)
            .map_err(|error| Error::caused(doing(), error))
    }
}

/// A folder nobody knows yet, which goes with whoever made it.
struct Aside(PathBuf);

impl Aside {
    fn new(base: &Path) -> Result<Self> {
        let path = base.join(format!("cache-mount-{}", &model::id::random_hex()[..16]));
        std::fs::create_dir(&path).doing(|| format!("making folder {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
