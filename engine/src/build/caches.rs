//! Cache mounts: folders that stay from build to build, shared or taken in turns.

use std::any::Any;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use builder::dockerfile::{CacheMount, Sharing};
use oci::Digest;
use rustix::fs::{CWD, RenameFlags};

use crate::error::Context;
use crate::layout::Layout;
use crate::{Error, Result};

/// Copies of one private cache at most.
const COPIES: usize = 64;

/// What is beside a folder that has come from elsewhere, until a step says whose it is.
pub(super) const IMPORTED: &str = "imported";

/// The folders in use.
#[derive(Default)]
pub(crate) struct Caches {
    /// Who uses each: how many, and whether alone.
    used: Mutex<HashMap<PathBuf, (usize, bool)>>,
    freed: Condvar,
    /// Held while a folder is looked for and made: steps at the same time share it.
    making: Mutex<()>,
}

/// A folder in use, or anything else that lasts as long as a step.
pub(crate) struct Lock {
    caches: Option<Arc<Caches>>,
    path: PathBuf,
    new: bool,
    _other: Option<Box<dyn Any + Send>>,
}

impl Lock {
    /// Something that is only kept.
    pub(super) fn of(other: Box<dyn Any + Send>) -> Self {
        Self { caches: None, path: PathBuf::new(), new: false, _other: Some(other) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made just now.
    pub(super) fn is_new(&self) -> bool {
        self.new
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Some(caches) = &self.caches else { return };
        let mut used = caches.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = used.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.path);
            }
        }
        caches.freed.notify_all();
    }
}

impl Caches {
    /// Takes a cache's folder; waits where it is taken in turns.
    pub(super) fn open(self: &Arc<Self>, layout: &Layout, id: &str, options: &CacheMount) -> Result<Lock> {
        let name = Digest::of(id.as_bytes());
        let base = layout.cache_mounts_dir();
        store::file::make_private_dir(&base).doing(|| format!("making folder {}", base.display()))?;
        let path = self.claim(&base, name.hex(), options.sharing);
        let making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let new = !path.exists();
        let lock = Lock { caches: Some(Arc::clone(self)), path, new, _other: None };
        if new {
            make(&lock.path, id, options)?;
        } else if std::fs::remove_file(lock.path.with_extension(IMPORTED)).is_ok() {
            own(&lock.path, options)?;
        }
        drop(making);
        Ok(lock)
    }

    /// Takes the folder of a cache that is there; waits for a step that has it for itself.
    pub(super) fn existing(self: &Arc<Self>, layout: &Layout, id: &str) -> Result<Lock> {
        let path = self.claim(&layout.cache_mounts_dir(), Digest::of(id.as_bytes()).hex(), Sharing::Shared);
        let lock = Lock { caches: Some(Arc::clone(self)), path, new: false, _other: None };
        if lock.path.is_dir() {
            return Ok(lock);
        }
        Err(Error::not_found(format!(
            "no cache mount has the id {id}: \"builder du --filter type=exec.cachemount\" lists those there are"
        )))
    }

    /// Makes a folder the one of a cache, at once; what the cache had is in the folder's place then. Waits for steps that
    /// use it.
    pub(super) fn replace(self: &Arc<Self>, layout: &Layout, id: &str, folder: &Path) -> Result<()> {
        let base = layout.cache_mounts_dir();
        store::file::make_private_dir(&base).doing(|| format!("making folder {}", base.display()))?;
        let path = self.claim(&base, Digest::of(id.as_bytes()).hex(), Sharing::Locked);
        let lock = Lock { caches: Some(Arc::clone(self)), path, new: false, _other: None };
        let flags = if lock.path.exists() { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        rustix::fs::renameat_with(CWD, folder, CWD, &lock.path, flags)
            .doing(|| format!("renaming {}", folder.display()))?;
        for (beside, text) in [("id", id), (IMPORTED, "")] {
            let path = lock.path.with_extension(beside);
            std::fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn claim(&self, base: &Path, name: &str, sharing: Sharing) -> PathBuf {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let copies = if sharing == Sharing::Private { COPIES } else { 1 };
            for copy in 0..copies {
                let path = base.join(if copy == 0 { name.to_owned() } else { format!("{name}-{copy}") });
                let free = match (used.get(&path), sharing) {
                    (None, _) => true,
                    (Some((_, alone)), Sharing::Shared) => !alone,
                    (Some(_), _) => false,
                };
                if free {
                    let entry = used.entry(path.clone()).or_default();
                    entry.0 += 1;
                    entry.1 = sharing != Sharing::Shared;
                    return path;
                }
            }
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn make(path: &Path, id: &str, options: &CacheMount) -> Result<()> {
    let doing = || format!("making folder {}", path.display());
    std::fs::create_dir(path).doing(doing)?;
    // For people who list caches; nothing depends on it.
    let _ = std::fs::write(path.with_extension("id"), id);
    own(path, options)
}

/// Makes a folder whose the mount says it is.
fn own(path: &Path, options: &CacheMount) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let doing = || format!("making folder {}", path.display());
    std::os::unix::fs::chown(path, options.uid, options.gid).doing(doing)?;
    let mode = options.mode.unwrap_or(0o755) & 0o7777;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_at_the_same_time_share_a_new_folder() {
        let place = std::env::temp_dir().join(format!("wharf-caches-{}", std::process::id()));
        let (layout, caches) = (Layout::new(&place, &place), Arc::new(Caches::default()));
        for round in 0..50 {
            let id = format!("cache {round}");
            let (mode, uid, gid) = (None, None, None);
            let options = CacheMount { id: None, read_only: false, sharing: Sharing::Shared, mode, uid, gid };
            let opened: Vec<Lock> = std::thread::scope(|scope| {
                let open = || caches.open(&layout, &id, &options).expect("opens");
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
            });
            assert_eq!(opened.iter().filter(|lock| lock.is_new()).count(), 1);
        }
        std::fs::remove_dir_all(place).expect("removed");
    }
}
