//! What the drivers have in common: layers in some form, stacked by overlayfs below writable directories.
//!
//! ```text
//! layers/<hex of chain id>/          a layer in its form (`directories`, `indexes`)
//! layers/<hex of chain id>/meta      its parent, its size, the boot it was made in until it is on disk
//! init/<hex of chain id>/            mount points every container has and this image lacks
//! active/<key>/{upper,work,top-...}  a writable snapshot; the name of the last one says the layer it stands on
//! new/, trash/                       on the way in and out; emptied at open
//! boot                               the boot all this was last used in
//! ```
//!
//! Layers of another form than the driver's are dropped at open, and made again from their blobs when they are needed:
//! writable snapshots do not depend on the form, and stay when the driver changes.
//!
//! A snapshot has no file of its own: names of directories survive a power cut together with the record that the
//! caller writes durably afterwards, the content of a file would need a flush.

mod changes;
pub(crate) mod files;
mod init;
pub(crate) mod layout;
mod state;
mod sync;
mod trash;
pub(crate) mod unnamed;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::overlay::Lower;
use linux::root::RootDir;
use oci::Digest;

use crate::error::{Result, file_error};
use crate::{Change, Driver, SnapshotError, Stack, Unnamed, Usage};
use files::{boot_id, copy_root_attributes, measure_path, open_dir, write_meta};
use layout::{Layout, check_key};
use state::{LayerMeta, State, depth, read_state};

/// The form in which layers are kept.
pub trait Form: Send + Sync {
    /// The driver's name.
    fn name(&self) -> &'static str;

    /// Whether a directory has a layer in this form.
    fn is_here(&self, directory: &Path) -> bool;

    /// Fills a fresh directory with a layer; answers its size.
    fn fill(&self, directory: &Path, chain: &Digest, tar: LayerTar<'_>) -> Result<Usage>;

    /// The same from the stream of a tar that is still being made; none when the form needs it as a file.
    fn fill_unnamed(&self, _directory: &Path, _tar: &mut dyn Read) -> Result<Option<Usage>> {
        Ok(None)
    }

    /// The same from a writable directory that becomes the layer's own; none when the form cannot use it.
    fn adopt(&self, _directory: &Path, _upper: &Path) -> Result<Option<Usage>> {
        Ok(None)
    }

    /// What to stack for a chain of layers (lowest first, at least one), the uppermost first.
    fn lowers(&self, layout: &Layout, layers: &[Digest]) -> Result<Vec<Lower>>;

    /// One layer alone, with overlayfs' whiteouts.
    fn open(&self, layout: &Layout, chain: &Digest) -> Result<RootDir>;

    /// A layer is removed: what is kept for its chain goes.
    fn forget(&self, layout: &Layout, chain: &Digest);
}

/// The uncompressed tar of a layer.
pub enum LayerTar<'a> {
    /// A stream, to be read to its end.
    Stream(&'a mut dyn Read),
    /// A file that never changes.
    File(&'a Path),
}

/// Layers of one form, and snapshots.
pub struct Stacked<F> {
    form: F,
    layout: Layout,
    state: Arc<Mutex<State>>,
    trash: trash::Trash,
    sync: Arc<sync::Sync>,
    boot: String,
}

impl<F: Form> Stacked<F> {
    /// Opens the directory (made 0700). What a crash left half-made is removed; layers that a power cut may have
    /// damaged or that have another form, too.
    pub fn with_form(root: &Path, form: F) -> Result<Self> {
        let layout = Layout::new(root);
        layout.make()?;
        let boot = boot_id();
        init::forget_after_boot(&layout, &boot)?;
        let trash = trash::Trash::start(&layout)?;
        let state = read_state(&layout, &boot, &form)?;
        let state = Arc::new(Mutex::new(state));
        let sync = sync::Sync::new(&layout, &state);
        sync.begin();
        Ok(Self { form, layout, state, trash, sync, boot })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the layer's meta file and shows it under its name.
    fn show_layer(
        &self,
        directory: &Path,
        chain: &Digest,
        parent: Option<&Digest>,
        usage: Usage,
    ) -> Result<()> {
        let meta = LayerMeta {
            parent: parent.cloned(),
            size: usage.size,
            disk: usage.disk,
            inodes: usage.inodes,
            unsynced: Some(self.boot.clone()),
        };
        write_meta(&directory.join("meta"), &meta)?;
        let target = self.layout.layer(chain);
        let mut state = self.lock();
        if state.layers.contains_key(chain) {
            // Another one was quicker; ours goes with the guard of the directory.
            return Ok(());
        }
        std::fs::rename(directory, &target).map_err(file_error("show", &target))?;
        state.layers.insert(chain.clone(), meta);
        drop(state);
        self.sync.begin();
        Ok(())
    }

    fn lowers(&self, layers: &[Digest]) -> Result<Vec<Lower>> {
        self.check_layers(&self.lock(), layers)?;
        if layers.is_empty() {
            return Ok(vec![self.layout.empty().into()]);
        }
        self.form.lowers(&self.layout, layers)
    }

    fn check_layers(&self, state: &State, layers: &[Digest]) -> Result<()> {
        match layers.iter().find(|chain| !state.layers.contains_key(*chain)) {
            Some(missing) => Err(SnapshotError::NoLayer { chain: missing.clone() }),
            None => Ok(()),
        }
    }

    fn add(&self, chain: &Digest, parent: Option<&Digest>, tar: LayerTar<'_>) -> Result<()> {
        if self.has_layer(chain) {
            return Ok(());
        }
        let mut layer = Unnamed::new(self.layout.fresh()?, &self.trash);
        layer.usage = self.form.fill(layer.directory(), chain, tar)?;
        self.name_layer(layer, chain, parent)
    }

    /// The layers a snapshot stands on, lowest first.
    fn active(&self, key: &str) -> Result<Vec<Digest>> {
        let state = self.lock();
        let top = state.active.get(key).ok_or_else(|| SnapshotError::NoSnapshot { key: key.to_owned() })?;
        state.chain(top.as_ref())
    }

    fn stack_of(&self, key: &str, layers: &[Digest]) -> Result<Stack> {
        let mut lowers = self.lowers(layers)?;
        init::make(&self.layout, layers.last(), &lowers)?;
        lowers.insert(0, self.layout.init(layers.last()).into());
        let directory = self.layout.active(key);
        Ok(Stack { lowers, upper: Some((directory.join("upper"), directory.join("work"))) })
    }

    fn upper(&self, key: &str) -> Result<OwnedFd> {
        open_dir(&self.layout.active(key).join("upper"))
    }
}

impl<F: Form> Driver for Stacked<F> {
    fn name(&self) -> &'static str {
        self.form.name()
    }

    fn has_layer(&self, chain: &Digest) -> bool {
        self.lock().layers.contains_key(chain)
    }

    fn add_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<()> {
        self.add(chain, parent, LayerTar::Stream(tar))
    }

    fn add_layer_file(&self, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()> {
        self.add(chain, parent, LayerTar::File(tar))
    }

    fn unpack_unnamed(&self, tar: &mut dyn Read) -> Result<Option<Unnamed>> {
        let mut layer = Unnamed::new(self.layout.fresh()?, &self.trash);
        let usage = self.form.fill_unnamed(layer.directory(), tar)?;
        Ok(usage.map(|usage| {
            layer.usage = usage;
            layer
        }))
    }

    fn name_layer(&self, layer: Unnamed, chain: &Digest, parent: Option<&Digest>) -> Result<()> {
        self.show_layer(layer.directory(), chain, parent, layer.usage)
    }

    fn commit_layer(&self, key: &str, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()> {
        self.active(key)?;
        if self.has_layer(chain) {
            return Ok(());
        }
        let fresh = self.layout.fresh()?;
        let adopted = self.form.adopt(&fresh, &self.layout.active(key).join("upper"));
        let result = adopted.and_then(|usage| match usage {
            Some(usage) => self.show_layer(&fresh, chain, parent, usage).map(|()| true),
            None => Ok(false),
        });
        if fresh.exists() {
            self.trash.take(&fresh);
        }
        if result? { Ok(()) } else { self.add(chain, parent, LayerTar::File(tar)) }
    }

    fn open_layer(&self, chain: &Digest) -> Result<RootDir> {
        self.check_layers(&self.lock(), std::slice::from_ref(chain))?;
        self.form.open(&self.layout, chain)
    }

    fn discard_layer(&self, chain: &Digest) -> Result<()> {
        let mut state = self.lock();
        for (key, top) in &state.active {
            if state.chain(top.as_ref()).unwrap_or_default().contains(chain) {
                return Err(SnapshotError::LayerInUse { chain: chain.clone(), key: key.clone() });
            }
        }
        // What stands on the layer, in memory or on disk, was made of it.
        state.layers.keys().for_each(|above| self.form.forget(&self.layout, above));
        if state.layers.remove(chain).is_some() {
            self.trash.take(&self.layout.layer(chain));
        }
        Ok(())
    }

    fn layers(&self) -> Vec<Digest> {
        self.lock().layers.keys().cloned().collect()
    }

    fn remove_layers(&self, keep: &HashSet<Digest>) -> Result<Vec<Digest>> {
        let mut state = self.lock();
        let mut kept: HashSet<Digest> = keep.clone();
        for top in state.active.values() {
            // A snapshot whose layers are missing keeps what is left of them.
            kept.extend(top.iter().cloned());
            kept.extend(state.chain(top.as_ref()).unwrap_or_default());
        }
        let mut gone: Vec<Digest> =
            state.layers.keys().filter(|chain| !kept.contains(*chain)).cloned().collect();
        // Upper layers first, as Docker lists them.
        gone.sort_by_key(|chain| std::cmp::Reverse(depth(&state.layers, chain)));
        for chain in &gone {
            self.trash.take(&self.layout.layer(chain));
            self.form.forget(&self.layout, chain);
            let init = self.layout.init(Some(chain));
            if init.exists() {
                self.trash.take(&init);
            }
            state.layers.remove(chain);
        }
        Ok(gone)
    }

    fn layer_usage(&self, chain: &Digest) -> Result<Usage> {
        let state = self.lock();
        let meta = state.layers.get(chain).ok_or_else(|| SnapshotError::NoLayer { chain: chain.clone() })?;
        Ok(Usage { size: meta.size, disk: meta.disk, inodes: meta.inodes })
    }

    fn prepare(&self, key: &str, layers: &[Digest]) -> Result<Stack> {
        check_key(key)?;
        if self.lock().active.contains_key(key) {
            return Err(SnapshotError::Exists { key: key.to_owned() });
        }
        let lowers = self.lowers(layers)?;
        let fresh = self.layout.fresh()?;
        let make = || {
            let upper = fresh.join("upper");
            std::fs::create_dir(&upper).map_err(file_error("make", &upper))?;
            copy_root_attributes(lowers.first(), &upper)?;
            let work = fresh.join("work");
            std::fs::create_dir(&work).map_err(file_error("make", &work))?;
            let top = fresh.join(layout::top_name(layers.last()));
            std::fs::create_dir(&top).map_err(file_error("make", &top))?;
            let mut state = self.lock();
            self.check_layers(&state, layers)?;
            let target = self.layout.active(key);
            std::fs::rename(&fresh, &target).map_err(file_error("show", &target))?;
            state.active.insert(key.to_owned(), layers.last().cloned());
            Ok(())
        };
        if let Err(error) = make() {
            self.trash.take(&fresh);
            return Err(error);
        }
        self.stack_of(key, layers)
    }

    fn stack(&self, key: &str) -> Result<Stack> {
        let layers = self.active(key)?;
        self.stack_of(key, &layers)
    }

    fn view(&self, layers: &[Digest]) -> Result<Stack> {
        Ok(Stack { lowers: self.lowers(layers)?, upper: None })
    }

    fn keys(&self) -> Vec<String> {
        self.lock().active.keys().cloned().collect()
    }

    fn remove(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let mut state = self.lock();
        if state.active.remove(key).is_some() {
            self.trash.take(&self.layout.active(key));
        }
        Ok(())
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        self.active(key)?;
        measure_path(&self.layout.active(key).join("upper"))
    }

    fn changes(&self, key: &str) -> Result<Vec<Change>> {
        let lowers = self.stack(key)?.lowers;
        let path = self.layout.active(key).join("upper");
        changes::compare(self.upper(key)?, &lowers).map_err(file_error("compare", &path))
    }

    fn write_diff(&self, key: &str, out: &mut dyn Write) -> Result<()> {
        self.active(key)?;
        let upper = self.upper(key)?;
        archive::write_tree(upper.as_fd(), &archive::TreeOptions::layer(), out)
            .map_err(|source| SnapshotError::WriteDiff { key: key.to_owned(), source })
    }
}

#[cfg(test)]
mod tests;
