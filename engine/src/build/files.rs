//! What is in an image that was built, for whoever wants it as files.

use std::io::{BufWriter, Write};
use std::os::fd::AsFd as _;

use linux::root::RootDir;

use super::Builds;
use crate::error::Context;
use crate::{Error, Result};

impl Builds<'_> {
    /// The configuration of an image as it is stored; none when there is no such image.
    pub fn image_config(&self, id: &str) -> Option<Vec<u8>> {
        let images = &self.inner.storage.images;
        let image = images.find(id).ok()?;
        images.content().read(&image.config_digest).ok()
    }

    /// The files of an image, to be read.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be mounted.
    pub fn files(&self, id: &str) -> Result<RootDir> {
        let storage = &self.inner.storage;
        let image = storage.images.find(id).map_err(Error::from_kinded)?;
        let blob = |index: usize| image.layers.get(index).map(|layer| layer.blob.digest.clone());
        storage.open_layers(image.diff_ids(), &blob)
    }

    /// Writes the files of an image as a tar.
    ///
    /// # Errors
    /// When there is none of this name, or whoever takes the tar takes no more.
    pub fn write_files(&self, id: &str, out: &mut dyn Write) -> Result<()> {
        let root = self.files(id)?;
        let mut out = BufWriter::with_capacity(64 << 10, out);
        archive::write_tree(root.as_fd(), &archive::TreeOptions::whole(), &mut out)
            .map_err(Error::from_kinded)?;
        out.flush().doing(|| "writing the files of an image".to_owned())
    }
}
