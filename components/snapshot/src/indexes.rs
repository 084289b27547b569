//! The EROFS driver: every layer its tar as it came, and a small index of it; nothing is unpacked.
//!
//! ```text
//! layers/<hex>/tar      the exact bytes; a second name of the blob where that is not compressed
//! layers/<hex>/index    the layer alone as an EROFS image (whiteouts as overlayfs has them), pointing into the tar
//! merged/<hex>          the whole chain up to this layer as one image, made when it is first used
//! ```
//!
//! A chain in use is mounted once, detached, held here and by the overlays of its containers: what one of them reads is
//! in memory for all. See `docs/decisions/0007-layers-without-unpacking.md`.

mod mounts;
mod probe;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use archive::Limits;
use erofs::{CopySource, ErofsError, FileSource, Tree};
use linux::overlay::Lower;
use linux::root::RootDir;
use oci::Digest;

use crate::error::{Result, file_error};
use crate::stacked::layout::Layout;
use crate::stacked::{Form, LayerTar, Stacked};
use crate::{SnapshotError, Usage};
use mounts::Mounts;
pub use probe::{Support, probe};

/// Layers as tars with indexes. Needs Linux 6.15; see [`probe`].
#[derive(Debug, Default)]
pub struct Indexes {
    mounts: Mounts,
}

/// The driver that unpacks nothing.
pub type ErofsDriver = Stacked<Indexes>;

impl Stacked<Indexes> {
    /// Opens the directory (made 0700) and cleans up what a crash left.
    pub fn open(root: &Path) -> Result<Self> {
        let pin = probe::wants_pinning(root);
        Self::with_form(root, Indexes { mounts: Mounts::new(pin) })
    }
}

impl Form for Indexes {
    fn name(&self) -> &'static str {
        "erofs"
    }

    fn is_here(&self, directory: &Path) -> bool {
        directory.join("index").is_file() && directory.join("tar").is_file()
    }

    fn fill(&self, directory: &Path, chain: &Digest, tar: LayerTar<'_>) -> Result<Usage> {
        let path = directory.join("tar");
        let indexed = match tar {
            LayerTar::Stream(stream) => {
                let copy = create(&path)?;
                erofs::index(&mut CopySource::new(stream, copy), Limits::DEFAULT)
            }
            LayerTar::File(file) => {
                take(file, &path)?;
                let source =
                    File::open(&path).and_then(FileSource::new).map_err(file_error("open", &path))?;
                let mut source = source;
                erofs::index(&mut source, Limits::DEFAULT)
            }
        };
        let tree = indexed.map_err(|source| SnapshotError::Unpack { source })?;
        let index = directory.join("index");
        let totals = tree.totals();
        write(&index, &image(chain, &tree)?)?;
        Ok(Usage { size: totals.bytes, disk: disk(&path)? + disk(&index)?, inodes: totals.inodes })
    }

    fn lowers(&self, layout: &Layout, layers: &[Digest]) -> Result<Vec<Lower>> {
        let Some(top) = layers.last() else { return Ok(Vec::new()) };
        let files = || {
            let index = match layers {
                [only] => layout.layer(only).join("index"),
                _ => merged(layout, top, layers)?,
            };
            Ok((index, layers.iter().map(|chain| layout.layer(chain).join("tar")).collect()))
        };
        self.mounts.get(top, files).map(|lower| vec![lower])
    }

    fn open(&self, layout: &Layout, chain: &Digest) -> Result<RootDir> {
        let layer = layout.layer(chain);
        self.mounts.open(&layer.join("index"), &layer.join("tar"))
    }

    fn forget(&self, layout: &Layout, chain: &Digest) {
        self.mounts.forget(chain);
        // None was made for a chain nobody used.
        let _ = std::fs::remove_file(layout.merged(chain));
    }
}

/// The image of a whole chain, made unless it is there.
fn merged(layout: &Layout, top: &Digest, layers: &[Digest]) -> Result<PathBuf> {
    let target = layout.merged(top);
    if target.exists() {
        return Ok(target);
    }
    let mut trees = Vec::with_capacity(layers.len());
    for chain in layers {
        let path = layout.layer(chain).join("index");
        let bytes = std::fs::read(&path).map_err(file_error("read", &path))?;
        let tree = erofs::read(&bytes).map_err(|source| failed(chain, source))?;
        trees.push(tree);
    }
    let tree = erofs::merge(trees).map_err(|source| failed(top, source))?;
    let fresh = layout.fresh()?;
    let path = fresh.join("merged");
    let written = image(top, &tree).and_then(|bytes| write(&path, &bytes));
    let shown = written.and_then(|()| std::fs::rename(&path, &target).map_err(file_error("show", &target)));
    let _ = std::fs::remove_dir_all(&fresh);
    shown.map(|()| target)
}

fn image(chain: &Digest, tree: &Tree) -> Result<Vec<u8>> {
    erofs::write(tree).map_err(|source| failed(chain, source))
}

fn failed(chain: &Digest, source: ErofsError) -> SnapshotError {
    SnapshotError::Index { chain: chain.clone(), source }
}

/// Gives a file a second name here, or copies it where that cannot be.
fn take(from: &Path, to: &Path) -> Result<()> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut source = File::open(from).map_err(file_error("open", from))?;
    let mut copy = create(to)?;
    std::io::copy(&mut source, &mut copy).map(drop).map_err(file_error("copy to", to))
}

fn create(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path).map_err(file_error("create", path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    create(path)?.write_all(bytes).map_err(file_error("write", path))
}

/// Bytes on disk. A tar that is also a blob counts here and not as a blob: it stays as long as the layer does.
fn disk(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path).map_err(file_error("look at", path))?;
    Ok(metadata.blocks() * 512)
}

#[cfg(test)]
mod tests;
