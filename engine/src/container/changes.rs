//! `diff` and `export`.

use std::io::Write;
use std::os::fd::AsFd;

use api::container::{Change, ChangeKind};
use linux::root::RootDir;

use super::archive::open_root;
use super::events;
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn changes(inner: &Inner, reference: &str) -> Result<Vec<Change>> {
    let container = inner.find(reference)?;
    let record = container.record();
    let mut changes = inner.storage.root_changes(&record.snapshot)?;
    // Where something is mounted the container did not change anything itself.
    changes.retain(|change| {
        let path = change.path.to_string_lossy();
        !record.mounts.iter().any(|mount| path.starts_with(&format!("{}/", mount.destination)))
    });
    Ok(changes
        .into_iter()
        .map(|change| Change {
            path: change.path.to_string_lossy().into_owned(),
            kind: match change.kind {
                snapshot::ChangeKind::Modified => ChangeKind::Modified,
                snapshot::ChangeKind::Added => ChangeKind::Added,
                snapshot::ChangeKind::Deleted => ChangeKind::Deleted,
            },
        })
        .collect())
}

/// A root that is going to be written as a tar stream.
#[derive(Debug)]
pub struct Export {
    root: std::os::fd::OwnedFd,
}

pub(crate) fn export(inner: &Inner, reference: &str) -> Result<Export> {
    let container = inner.find(reference)?;
    let record = container.record();
    let root: RootDir = if record.lifecycle.state.has_process() {
        inner.storage.open_root(&record.snapshot)?
    } else {
        open_root(inner, &record)?
    };
    events::container(inner, &record, "export", &[]);
    Ok(Export { root: root.into_fd() })
}

impl Export {
    /// Writes the stream.
    ///
    /// # Errors
    /// When the client takes no more or the root cannot be read.
    pub fn write_to(self, out: &mut dyn Write) -> Result<()> {
        ::archive::write_tree(self.root.as_fd(), &::archive::TreeOptions::whole(), out)
            .map_err(|error| Error::caused("export", error))
    }
}
