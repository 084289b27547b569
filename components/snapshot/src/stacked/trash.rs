//! Gives disk space back in the background: a rename hides, a thread removes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::error::{Result, file_error};
use crate::stacked::layout::Layout;

/// The way out. Its thread sleeps until something comes and ends with the driver; what is left then goes at the next
/// open.
#[derive(Clone)]
pub(super) struct Trash {
    directory: PathBuf,
    sender: Sender<PathBuf>,
}

impl Trash {
    /// Starts the thread, with what an earlier engine left.
    pub(super) fn start(layout: &Layout) -> Result<Self> {
        let directory = layout.trash();
        let (sender, receiver) = channel();
        for entry in std::fs::read_dir(&directory).map_err(file_error("list", &directory))? {
            let path = entry.map_err(file_error("list", &directory))?.path();
            // The receiver is here still.
            let _ = sender.send(path);
        }
        std::thread::Builder::new()
            .name("trash".into())
            .spawn(move || empty(&receiver))
            .map_err(file_error("watch", &directory))?;
        Ok(Self { directory, sender })
    }

    /// Hides a directory at once and has it removed. One that cannot be moved is removed in place.
    pub(super) fn take(&self, path: &Path) {
        let hidden = self.directory.join(model::id::random_hex());
        let target = if std::fs::rename(path, &hidden).is_ok() { hidden } else { path.to_owned() };
        // Without the thread the next open does it.
        let _ = self.sender.send(target);
    }
}

fn empty(paths: &Receiver<PathBuf>) {
    while let Ok(path) = paths.recv() {
        // What cannot be removed (perhaps mounted still) is tried again at the next open.
        let _ = std::fs::remove_dir_all(path);
    }
}
