//! The facade: one driver, unpacking of whole images, and leases that keep new layers from being collected.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use oci::Digest;

use crate::chain::above;
use crate::error::Result;
use crate::indexes::{Support, probe};
use crate::{Change, Driver, ErofsDriver, OverlayDriver, SnapshotError, Stack, Unnamed, Usage};

/// Layers unpacked at the same time.
const UNPACKERS: usize = 4;

/// Where the uncompressed tar of a layer is.
pub enum LayerSource {
    /// A stream that fails at its end when the bytes do not have the layer's diff id.
    Stream(Box<dyn Read + Send>),
    /// A file that has been verified and never changes (an uncompressed blob). It may get a second name.
    File(PathBuf),
}

/// Opens a layer, given its place in the image (0 is the lowest) and its diff id.
pub type OpenLayer<'a> = dyn Fn(usize, &Digest) -> io::Result<LayerSource> + Sync + 'a;

/// Which driver an engine uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// The one that is best here.
    #[default]
    Automatic,
    /// Layers as they came, with an index.
    Erofs,
    /// Layers unpacked to directories.
    Overlay2,
}

/// All layers and snapshots of an engine.
#[derive(Clone)]
pub struct Snapshots {
    driver: Arc<dyn Driver>,
    reason: Arc<str>,
    leases: Arc<RwLock<()>>,
}

impl Snapshots {
    /// Opens the directory, and cleans up what a crash left.
    ///
    /// # Errors
    /// When the driver asked for cannot work here, or files cannot be used.
    pub fn open(root: &Path, choice: DriverChoice) -> Result<Self> {
        match choice {
            DriverChoice::Overlay2 => Ok(Self::with_driver(OverlayDriver::open(root)?, "asked for")),
            DriverChoice::Automatic => {
                let reason = "layers are unpacked; --storage-driver erofs keeps them as they come";
                Ok(Self::with_driver(OverlayDriver::open(root)?, reason))
            }
            DriverChoice::Erofs => {
                store::file::make_private_dir(root).map_err(crate::error::file_error("prepare", root))?;
                match probe(root)? {
                    Support::Yes => Ok(Self::with_driver(ErofsDriver::open(root)?, "asked for")),
                    Support::No(why) => Err(SnapshotError::Unsupported { driver: "erofs", why }),
                }
            }
        }
    }

    /// With a driver, and why it is that one.
    pub fn with_driver(driver: impl Driver + 'static, reason: &str) -> Self {
        Self { driver: Arc::new(driver), reason: reason.into(), leases: Arc::new(RwLock::new(())) }
    }

    /// Why it is this driver.
    pub fn driver_reason(&self) -> &str {
        &self.reason
    }

    /// The driver's name.
    pub fn driver_name(&self) -> &'static str {
        self.driver.name()
    }

    /// While it is held no layer is collected: held from unpacking until an image record or snapshot names them.
    pub fn lease(&self) -> RwLockReadGuard<'_, ()> {
        self.leases.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain ids for an image's diff ids, lowest first.
    pub fn chains(diff_ids: &[Digest]) -> Vec<Digest> {
        let mut chains: Vec<Digest> = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids {
            let chain = above(chains.last(), diff_id);
            chains.push(chain);
        }
        chains
    }

    /// Whether all layers of an image are there.
    pub fn is_unpacked(&self, diff_ids: &[Digest]) -> bool {
        Self::chains(diff_ids).iter().all(|chain| self.driver.has_layer(chain))
    }

    /// Unpacks the layers of an image that are not there yet, several at a time.
    pub fn unpack(&self, diff_ids: &[Digest], open: &OpenLayer<'_>) -> Result<()> {
        let chains = Self::chains(diff_ids);
        let missing: Vec<usize> = (0..chains.len())
            .filter(|index| chains.get(*index).is_some_and(|c| !self.driver.has_layer(c)))
            .collect();
        let queue = Mutex::new(missing.iter().copied());
        let failure: Mutex<Option<SnapshotError>> = Mutex::new(None);
        let work = || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(index) = next else { return };
                if failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    return;
                }
                if let Err(error) = self.unpack_one(index, &chains, diff_ids, open) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        match missing.len() {
            0 | 1 => work(),
            count => std::thread::scope(|scope| {
                for _ in 0..count.min(UNPACKERS) {
                    scope.spawn(work);
                }
            }),
        }
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn unpack_one(
        &self,
        index: usize,
        chains: &[Digest],
        diff_ids: &[Digest],
        open: &OpenLayer<'_>,
    ) -> Result<()> {
        let (Some(chain), Some(diff_id)) = (chains.get(index), diff_ids.get(index)) else { return Ok(()) };
        let parent = index.checked_sub(1).and_then(|below| chains.get(below));
        let source = open(index, diff_id)
            .map_err(|source| SnapshotError::Source { diff_id: diff_id.clone(), source })?;
        match source {
            LayerSource::Stream(mut stream) => self.driver.add_layer(chain, parent, &mut stream),
            LayerSource::File(path) => self.driver.add_layer_file(chain, parent, &path),
        }
    }

    /// Whether a layer, given by its chain id, is there.
    pub fn has_layer(&self, chain: &Digest) -> bool {
        self.driver.has_layer(chain)
    }

    /// Takes in one layer from its uncompressed tar stream, in the pass that fetches or receives it: the stream fails
    /// at its end when the bytes are not those of the diff id, and then nothing stays. The layer below need not be there
    /// yet. Callers hold a [`Self::lease`].
    pub fn add_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<()> {
        self.driver.add_layer(chain, parent, tar)
    }

    /// The same from a file with the uncompressed tar, verified and never changed again; it may get a second name.
    pub fn add_layer_file(&self, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()> {
        self.driver.add_layer_file(chain, parent, tar)
    }

    /// Unpacks a layer while its tar is made; see [`Driver::unpack_unnamed`].
    pub fn unpack_unnamed(&self, tar: &mut dyn Read) -> Result<Option<Unnamed>> {
        self.driver.unpack_unnamed(tar)
    }

    /// Shows such a layer under its name.
    pub fn name_layer(&self, layer: Unnamed, chain: &Digest, parent: Option<&Digest>) -> Result<()> {
        self.driver.name_layer(layer, chain, parent)
    }

    /// Makes a layer of what a snapshot changed, given the tar of it, as [`Self::write_diff`] wrote it. The snapshot can
    /// only be removed afterwards.
    pub fn commit_layer(&self, key: &str, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()> {
        self.driver.commit_layer(key, chain, parent, tar)
    }

    /// Compares a layer with its uncompressed tar, which is read to its end; answers what differs, in words.
    pub fn check_layer(&self, chain: &Digest, tar: &mut dyn Read) -> Result<Vec<String>> {
        let root = self.driver.open_layer(chain)?;
        let found = archive::compare_layer(&root, tar)
            .map_err(|source| SnapshotError::Compare { chain: chain.clone(), source })?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    /// Takes away a layer that is not what it should be, so that it can be added anew. Refused while a snapshot stands on
    /// it.
    pub fn discard_layer(&self, chain: &Digest) -> Result<()> {
        self.driver.discard_layer(chain)
    }

    /// Removes all layers that are neither to be kept (by their chain ids) nor below a snapshot. What to keep is asked
    /// when no lease is held any more, so that images which came in meanwhile count. Answers the removed ones.
    pub fn collect(&self, keep: impl FnOnce() -> HashSet<Digest>) -> Result<Vec<Digest>> {
        let _all = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        self.driver.remove_layers(&keep())
    }

    /// Makes a writable snapshot above an image's layers, which must be unpacked.
    pub fn prepare(&self, key: &str, diff_ids: &[Digest]) -> Result<Stack> {
        self.driver.prepare(key, &Self::chains(diff_ids))
    }

    /// What to stack for a snapshot.
    pub fn stack(&self, key: &str) -> Result<Stack> {
        self.driver.stack(key)
    }

    /// What to stack for a read-only view of an image.
    pub fn view(&self, diff_ids: &[Digest]) -> Result<Stack> {
        self.driver.view(&Self::chains(diff_ids))
    }

    /// The keys of all snapshots, so that the engine can remove those nobody knows.
    pub fn keys(&self) -> Vec<String> {
        self.driver.keys()
    }

    /// Removes a snapshot; a missing one is no error.
    pub fn remove(&self, key: &str) -> Result<()> {
        self.driver.remove(key)
    }

    /// Size of what a snapshot changed (`SizeRw`).
    pub fn usage(&self, key: &str) -> Result<Usage> {
        self.driver.usage(key)
    }

    /// Size of all layers of an image (the image's `Size`; with [`Self::usage`] added: `SizeRootFs`).
    pub fn image_usage(&self, diff_ids: &[Digest]) -> Result<Usage> {
        let mut total = Usage::default();
        for chain in Self::chains(diff_ids) {
            total += self.driver.layer_usage(&chain)?;
        }
        Ok(total)
    }

    /// Size of each layer of an image, lowest first (`history`).
    pub fn layer_usages(&self, diff_ids: &[Digest]) -> Result<Vec<Usage>> {
        Self::chains(diff_ids).iter().map(|chain| self.driver.layer_usage(chain)).collect()
    }

    /// Size of all layers together, each counted once (`LayersSize`).
    pub fn layers_usage(&self) -> Usage {
        let mut total = Usage::default();
        for chain in self.driver.layers() {
            total += self.driver.layer_usage(&chain).unwrap_or_default();
        }
        total
    }

    /// Bytes on disk of each layer, by chain id.
    pub fn layers_on_disk(&self) -> std::collections::BTreeMap<Digest, u64> {
        let sized = |chain: Digest| {
            let disk = self.driver.layer_usage(&chain).unwrap_or_default().disk;
            (chain, disk)
        };
        self.driver.layers().into_iter().map(sized).collect()
    }

    /// What a snapshot changed against its image, sorted by path (`diff`).
    pub fn changes(&self, key: &str) -> Result<Vec<Change>> {
        self.driver.changes(key)
    }

    /// Writes what a snapshot changed as the tar stream of a layer (`commit`).
    pub fn write_diff(&self, key: &str, out: &mut dyn Write) -> Result<()> {
        self.driver.write_diff(key, out)
    }
}

/// Writes a whole root, given by its (detached) mount, as a tar stream (`export`).
pub fn export(
    root: std::os::fd::BorrowedFd<'_>,
    out: &mut dyn Write,
) -> std::result::Result<(), archive::ArchiveError> {
    archive::write_tree(root, &archive::TreeOptions::whole(), out)
}
