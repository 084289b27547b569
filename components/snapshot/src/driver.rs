//! What a way of keeping layers has to do; `contract` holds the cases every driver passes.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use linux::overlay::Lower;
use oci::Digest;

use crate::error::Result;
use crate::{Change, Unnamed, Usage};

/// What to stack for a root: nothing is mounted by a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Read-only layers, the uppermost first.
    pub lowers: Vec<Lower>,
    /// The writable directory and overlayfs' work directory beside it; none for a read-only root.
    pub upper: Option<(PathBuf, PathBuf)>,
}

/// Keeps layers (read-only, named by chain id) and snapshots (writable, named by a key of the caller).
pub trait Driver: Send + Sync {
    /// The name `info` shows.
    fn name(&self) -> &'static str;

    /// Whether the layer is there, complete.
    fn has_layer(&self, chain: &Digest) -> bool;

    /// Unpacks a layer from its uncompressed tar stream, which is read to its end; an error of the stream leaves
    /// nothing. The parent need not be there yet. A layer that exists is left as it is.
    fn add_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<()>;

    /// The same from a file that has the uncompressed tar: complete, verified and never changed again, only removed. A
    /// driver may keep a second name of it instead of a copy.
    fn add_layer_file(&self, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()>;

    /// Unpacks the tar stream of a layer that is still being made: until it is named nobody sees it, and without a name it
    /// goes when the answer is dropped. The caller names it only when the stream was complete. None when the driver makes
    /// layers of files only.
    fn unpack_unnamed(&self, tar: &mut dyn Read) -> Result<Option<Unnamed>>;

    /// Shows an unpacked layer under its name, as [`Self::add_layer`] does.
    fn name_layer(&self, layer: Unnamed, chain: &Digest, parent: Option<&Digest>) -> Result<()>;

    /// Makes a layer of what a snapshot changed, which is exactly what the tar (as for [`Self::add_layer_file`]) has. The
    /// snapshot may lose its files to it: it can only be removed afterwards.
    fn commit_layer(&self, key: &str, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()>;

    /// The files of one layer, with overlayfs' whiteouts, to be compared with its tar.
    fn open_layer(&self, chain: &Digest) -> Result<linux::root::RootDir>;

    /// Takes one layer away, so that it can be added anew; refused while a snapshot stands on it.
    fn discard_layer(&self, chain: &Digest) -> Result<()>;

    /// All layers.
    fn layers(&self) -> Vec<Digest>;

    /// Removes all layers but the ones in `keep` and those below snapshots; answers the removed ones.
    fn remove_layers(&self, keep: &HashSet<Digest>) -> Result<Vec<Digest>>;

    /// Size of one layer without the ones below.
    fn layer_usage(&self, chain: &Digest) -> Result<Usage>;

    /// Makes a writable snapshot above the layers given by their chain ids, lowest first (none: an empty root).
    /// All of them must be there.
    fn prepare(&self, key: &str, layers: &[Digest]) -> Result<Stack>;

    /// What to stack for a snapshot.
    fn stack(&self, key: &str) -> Result<Stack>;

    /// What to stack for a read-only view of layers.
    fn view(&self, layers: &[Digest]) -> Result<Stack>;

    /// All snapshots.
    fn keys(&self) -> Vec<String>;

    /// Removes a snapshot; a missing one is no error. The disk space is given back in the background.
    fn remove(&self, key: &str) -> Result<()>;

    /// Size of what the snapshot changed.
    fn usage(&self, key: &str) -> Result<Usage>;

    /// What the snapshot changed against the layers below, sorted by path.
    fn changes(&self, key: &str) -> Result<Vec<Change>>;

    /// Writes what the snapshot changed as the tar stream of a layer.
    fn write_diff(&self, key: &str, out: &mut dyn Write) -> Result<()>;
}
