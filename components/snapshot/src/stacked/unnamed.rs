//! Layers that are unpacked before it is known what they are called.

use std::path::{Path, PathBuf};

use super::trash::Trash;
use crate::Usage;

/// The files of a layer nobody sees yet. They go with it, unless it was named.
pub struct Unnamed {
    directory: PathBuf,
    pub(super) usage: Usage,
    trash: Trash,
}

impl Unnamed {
    pub(super) fn new(directory: PathBuf, trash: &Trash) -> Self {
        Self { directory, usage: Usage::default(), trash: trash.clone() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if self.directory.exists() {
            self.trash.take(&self.directory);
        }
    }
}
