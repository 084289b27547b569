//! Folders of clients, kept from build to build so that only what changed has to be sent.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use linux::root::RootDir;
use oci::Digest;

use super::Builds;
use crate::error::Context;
use crate::layout::Layout;
use crate::{Error, Result};

/// Folders kept at most; the ones unused for longest go first.
const MOST: usize = 64;
/// Folders of one key in use at once.
const COPIES: usize = 256;

/// The folders in use.
#[derive(Default)]
pub(crate) struct Kept {
    used: Mutex<HashSet<PathBuf>>,
}

/// A folder that belongs to one build as long as it has this, and is found again by its key later.
pub struct KeptFolder {
    path: PathBuf,
    root: RootDir,
    _claim: Claim,
}

impl KeptFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder.
    pub fn root(&self) -> &RootDir {
        &self.root
    }
}

struct Claim {
    kept: Arc<Kept>,
    path: PathBuf,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.kept.lock().remove(&self.path);
    }
}

impl Kept {
    /// Takes a folder of a key that nobody uses; `description` is for people who list what builds have left.
    pub(super) fn open(
        self: &Arc<Self>,
        layout: &Layout,
        key: &str,
        description: &str,
    ) -> Result<KeptFolder> {
        let base = layout.build_contexts_dir();
        store::file::make_private_dir(&base).doing(|| format!("making folder {}", base.display()))?;
        let claim = self.claim(&base, Digest::of(key.as_bytes()).hex())?;
        let path = claim.path.clone();
        let doing = || format!("making folder {}", path.display());
        if !path.exists() {
            self.make_room(&base);
            store::file::make_private_dir(&path).doing(doing)?;
            // For people who list them; nothing depends on it.
            let _ = std::fs::write(path.with_extension("id"), description);
        }
        let root = RootDir::open(&path).doing(doing)?;
        // The time says which one was unused for longest.
        if let Ok(folder) = std::fs::File::open(&path) {
            let _ = folder.set_modified(SystemTime::now());
        }
        Ok(KeptFolder { path, root, _claim: claim })
    }

    /// Whether somebody builds with a folder.
    pub(super) fn is_used(&self, path: &Path) -> bool {
        self.lock().contains(path)
    }

    fn claim(self: &Arc<Self>, base: &Path, name: &str) -> Result<Claim> {
        let mut used = self.lock();
        for copy in 0..COPIES {
            let path = base.join(if copy == 0 { name.to_owned() } else { format!("{name}-{copy}") });
            if used.insert(path.clone()) {
                return Ok(Claim { kept: Arc::clone(self), path });
            }
        }
        Err(Error::conflict("too many builds of one context at once"))
    }

    fn make_room(&self, base: &Path) {
        let used = self.lock();
        let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
        let folders = entries.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_dir)?;
            Some((metadata.modified().ok()?, entry.path()))
        });
        let mut folders: Vec<_> = folders.filter(|(_, path)| !used.contains(path)).collect();
        folders.sort();
        let surplus = folders.len().saturating_sub(MOST - 1);
        for (_, path) in folders.into_iter().take(surplus) {
            if let Err(error) = super::prune::remove_folder(&path) {
                eprintln!("{error}");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Builds<'_> {
    /// A folder for a client's files, the same one for the same key where nobody uses it now. What is in it is what the
    /// last build left, perhaps not whole.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn kept_folder(&self, key: &str, description: &str) -> Result<KeptFolder> {
        self.inner.build.kept.open(&self.inner.layout, key, description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_again_and_shared_with_nobody() {
        let place = std::env::temp_dir().join(format!("wharf-kept-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("made");
        let layout = Layout::new(&place, &place);
        let kept = Arc::new(Kept::default());
        let open = |key: &str| kept.open(&layout, key, "context").expect("opens");
        let (first, second) = (open("a"), open("a"));
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        std::fs::write(path.join("f"), "x").expect("written");
        assert!(kept.is_used(&path));
        drop(first);
        assert!(!kept.is_used(&path));
        assert_eq!(open("a").path(), path);
        assert!(path.join("f").exists(), "what was there stays");
        for number in 0..MOST + 5 {
            open(&number.to_string());
        }
        let left = std::fs::read_dir(layout.build_contexts_dir()).expect("read").flatten();
        let left = left.filter(|entry| entry.path().is_dir()).count();
        assert!(left <= MOST + 1, "{left}");
        assert!(second.path().exists(), "what is used stays");
        std::fs::remove_dir_all(&place).expect("removed");
    }
}
