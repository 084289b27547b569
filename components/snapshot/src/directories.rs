//! The directory driver: every layer a plain directory with its files and overlayfs' own whiteouts.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use archive::ExtractOptions;
use linux::overlay::Lower;
use linux::root::RootDir;
use oci::Digest;

use crate::error::{Result, file_error};
use crate::stacked::files::{measure_path, set_mode};
use crate::stacked::layout::Layout;
use crate::stacked::{Form, LayerTar, Stacked};
use crate::{SnapshotError, Usage};

/// Bytes read at once from a layer's file.
const READ: usize = 256 << 10;

/// Layers as directories, in `layers/<hex>/fs`. Works on every kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Directories;

/// The driver that unpacks layers to directories.
pub type OverlayDriver = Stacked<Directories>;

impl Stacked<Directories> {
    /// Opens the directory (made 0700) and cleans up what a crash left.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with_form(root, Directories)
    }
}

impl Form for Directories {
    fn name(&self) -> &'static str {
        "overlay2"
    }

    fn is_here(&self, directory: &Path) -> bool {
        directory.join("fs").is_dir()
    }

    fn fill(&self, directory: &Path, _: &Digest, tar: LayerTar<'_>) -> Result<Usage> {
        fill(directory, tar)
    }

    fn fill_unnamed(&self, directory: &Path, tar: &mut dyn Read) -> Result<Option<Usage>> {
        fill(directory, LayerTar::Stream(tar)).map(Some)
    }

    fn adopt(&self, directory: &Path, upper: &Path) -> Result<Option<Usage>> {
        let files = directory.join("fs");
        std::fs::rename(upper, &files).map_err(file_error("take", upper))?;
        measure_path(&files).map(Some)
    }

    fn lowers(&self, layout: &Layout, layers: &[Digest]) -> Result<Vec<Lower>> {
        Ok(layers.iter().rev().map(|chain| layout.layer(chain).join("fs").into()).collect())
    }

    fn open(&self, layout: &Layout, chain: &Digest) -> Result<RootDir> {
        let path = layout.layer(chain).join("fs");
        RootDir::open(&path).map_err(file_error("open", &path))
    }

    fn forget(&self, _: &Layout, _: &Digest) {}
}

/// Unpacks a layer into a fresh directory; answers its size.
fn fill(directory: &Path, tar: LayerTar<'_>) -> Result<Usage> {
    let files = directory.join("fs");
    std::fs::create_dir(&files).map_err(file_error("make", &files))?;
    set_mode(&files, 0o755)?;
    let root = RootDir::open(&files).map_err(file_error("open", &files))?;
    let options = ExtractOptions::layer();
    let extracted = match tar {
        LayerTar::Stream(stream) => archive::extract(stream, &root, Path::new(""), &options),
        LayerTar::File(path) => {
            let file = File::open(path).map_err(file_error("open", path))?;
            archive::extract(BufReader::with_capacity(READ, file), &root, Path::new(""), &options)
        }
    };
    let summary = extracted.map_err(|source| SnapshotError::Unpack { source })?;
    match summary.made {
        Some(made) => Ok(made),
        None => measure_path(&files),
    }
}
