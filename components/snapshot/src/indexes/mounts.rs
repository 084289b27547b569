//! The mounts of chains in use: one for each, shared by all containers above it.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use linux::erofs::Pinned;
use linux::overlay::Lower;
use linux::root::RootDir;
use oci::Digest;

use crate::error::{Result, file_error};

/// Mounts kept. When there are more, the one used longest ago goes: containers that run on it keep it alive, later
/// ones get another.
const KEPT: usize = 64;

/// The mounts, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pin: bool,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    chain: Digest,
    lower: Lower,
    /// The index, held in memory where that is wanted.
    _pinned: Option<Pinned>,
}

impl Mounts {
    /// `pin`: indexes are held in memory while they are mounted.
    pub(super) fn new(pin: bool) -> Self {
        Self { pin, kept: Mutex::default() }
    }

    /// The mount of a chain; made, when there is none, of an index and its tars.
    pub(super) fn get(
        &self,
        chain: &Digest,
        files: impl FnOnce() -> Result<(PathBuf, Vec<PathBuf>)>,
    ) -> Result<Lower> {
        // Held while mounting: two containers of a new image at the same time share the work.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|one| one.chain == *chain) {
            let one = kept.remove(place);
            let lower = one.lower.clone();
            kept.push(one);
            return Ok(lower);
        }
        let (index, tars) = files()?;
        let one = self.mount(chain, index, &tars)?;
        let lower = one.lower.clone();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(one);
        Ok(lower)
    }

    /// Lets a chain's mount go.
    pub(super) fn forget(&self, chain: &Digest) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.chain != *chain);
    }

    /// One layer alone, for a short look.
    pub(super) fn open(&self, index: &Path, tar: &Path) -> Result<RootDir> {
        let file = File::open(index).map_err(file_error("open", index))?;
        let tar = File::open(tar).map_err(file_error("open", tar))?;
        let _pinned = self.pin.then(|| Pinned::new(&file)).transpose().map_err(file_error("hold", index))?;
        let mount = linux::erofs::mount(file.as_fd(), &[tar.as_fd()]).map_err(file_error("mount", index))?;
        Ok(RootDir::from_fd(mount))
    }

    fn mount(&self, chain: &Digest, index: PathBuf, tars: &[PathBuf]) -> Result<Kept> {
        let open = |path: &PathBuf| File::open(path).map_err(file_error("open", path));
        let file = open(&index)?;
        let tars = tars.iter().map(open).collect::<Result<Vec<File>>>()?;
        // Before the mount reads anything of it.
        let pinned =
            if self.pin { Some(Pinned::new(&file).map_err(file_error("hold", &index))?) } else { None };
        let devices: Vec<_> = tars.iter().map(File::as_fd).collect();
        let mount = linux::erofs::mount(file.as_fd(), &devices).map_err(file_error("mount", &index))?;
        Ok(Kept { chain: chain.clone(), lower: Lower::Mount(Arc::new(mount), index), _pinned: pinned })
    }
}
