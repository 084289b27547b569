//! The directory driver: every layer a plain directory, stacked by overlayfs.
//!
//! ```text
//! layers/<hex of chain id>/fs        a layer's files, with overlayfs' own whiteouts
//! layers/<hex of chain id>/meta      its parent, its size, the boot it was unpacked in until it is on disk
//! init/<hex of chain id>/            mount points every container has and this image lacks
//! active/<key>/{upper,work,top-...}  a writable snapshot; the name of the last one says the layer it stands on
//! new/, trash/                       on the way in and out; emptied at open
//! boot                               the boot all this was last used in
//! ```
//!
//! A snapshot has no file of its own: names of directories survive a power cut together with the record that the
//! caller writes durably afterwards, the content of a file would need a flush.

mod changes;
mod files;
mod init;
mod layout;
mod trash;

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archive::ExtractOptions;
use linux::root::RootDir;
use oci::Digest;
use serde::{Deserialize, Serialize};
use store::Durability;

use crate::error::{Result, file_error};
use crate::{Change, Driver, SnapshotError, Stack, Usage};
use files::{boot_id, copy_root_attributes, measure_path, open_dir, set_mode, write_meta};
use layout::Layout;

/// Bytes read at once from a layer's file.
const READ: usize = 256 << 10;

/// Layers as directories.
pub struct OverlayDriver {
    layout: Layout,
    state: Arc<Mutex<State>>,
    trash: trash::Trash,
    boot: String,
}

#[derive(Default)]
struct State {
    layers: BTreeMap<Digest, LayerMeta>,
    /// Snapshots with the layer they stand on.
    active: BTreeMap<String, Option<Digest>>,
}

/// What is stored beside a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LayerMeta {
    parent: Option<Digest>,
    size: u64,
    disk: u64,
    inodes: u64,
    /// The boot it was unpacked in, until its files are known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsynced: Option<String>,
}

impl State {
    /// A layer and all below it, lowest first.
    fn chain(&self, top: Option<&Digest>) -> Result<Vec<Digest>> {
        let mut layers = Vec::new();
        let mut next = top;
        while let Some(chain) = next {
            let meta =
                self.layers.get(chain).ok_or_else(|| SnapshotError::NoLayer { chain: chain.clone() })?;
            layers.push(chain.clone());
            next = meta.parent.as_ref();
        }
        layers.reverse();
        Ok(layers)
    }
}

impl OverlayDriver {
    /// Opens the directory (made 0700). What a crash left half-made is removed; layers that a power cut may have
    /// damaged too.
    pub fn open(root: &Path) -> Result<Self> {
        let layout = Layout::new(root);
        layout.make()?;
        let boot = boot_id();
        init::forget_after_boot(&layout, &boot)?;
        let trash = trash::Trash::start(&layout)?;
        let state = read_state(&layout, &boot)?;
        let driver = Self { layout, state: Arc::new(Mutex::new(state)), trash, boot };
        driver.sync_in_background();
        Ok(driver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes new layers to disk beside everything else, then notes that they are.
    fn sync_in_background(&self) {
        let unsynced: Vec<Digest> = {
            let state = self.lock();
            let layers = state.layers.iter().filter(|(_, meta)| meta.unsynced.is_some());
            layers.map(|(chain, _)| chain.clone()).collect()
        };
        if unsynced.is_empty() {
            return;
        }
        let (layout, state) = (self.layout.clone(), Arc::clone(&self.state));
        let work = move || sync_layers(&layout, &state, &unsynced);
        // Without the thread they stay unsynced, which is safe.
        drop(std::thread::Builder::new().name("layer-sync".into()).spawn(work));
    }

    fn unpack(&self, directory: &Path, chain: &Digest, tar: &mut dyn Read) -> Result<()> {
        let files = directory.join("fs");
        std::fs::create_dir(&files).map_err(file_error("make", &files))?;
        set_mode(&files, 0o755)?;
        let root = RootDir::open(&files).map_err(file_error("open", &files))?;
        archive::extract(tar, &root, Path::new(""), &ExtractOptions::layer())
            .map(drop)
            .map_err(|source| SnapshotError::Unpack { chain: chain.clone(), source })
    }

    /// Writes the layer's meta file and shows it under its name.
    fn show_layer(&self, directory: &Path, chain: &Digest, parent: Option<&Digest>) -> Result<()> {
        let usage = measure_path(&directory.join("fs"))?;
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
        self.sync_in_background();
        Ok(())
    }

    fn lowers(&self, layers: &[Digest]) -> Result<Vec<PathBuf>> {
        let state = self.lock();
        let lower = |chain: &Digest| match state.layers.contains_key(chain) {
            true => Ok(self.layout.layer(chain).join("fs")),
            false => Err(SnapshotError::NoLayer { chain: chain.clone() }),
        };
        let lowers = layers.iter().rev().map(lower).collect::<Result<Vec<_>>>()?;
        Ok(if lowers.is_empty() { vec![self.layout.empty()] } else { lowers })
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
        lowers.insert(0, self.layout.init(layers.last()));
        let directory = self.layout.active(key);
        Ok(Stack { lowers, upper: Some((directory.join("upper"), directory.join("work"))) })
    }

    fn upper(&self, key: &str) -> Result<OwnedFd> {
        open_dir(&self.layout.active(key).join("upper"))
    }
}

impl Driver for OverlayDriver {
    fn name(&self) -> &'static str {
        "overlay2"
    }

    fn has_layer(&self, chain: &Digest) -> bool {
        self.lock().layers.contains_key(chain)
    }

    fn add_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<()> {
        if self.has_layer(chain) {
            return Ok(());
        }
        let fresh = self.layout.fresh()?;
        let result = self.unpack(&fresh, chain, tar).and_then(|()| self.show_layer(&fresh, chain, parent));
        if fresh.exists() {
            self.trash.take(&fresh);
        }
        result
    }

    fn add_layer_file(&self, chain: &Digest, parent: Option<&Digest>, tar: &Path) -> Result<()> {
        let file = std::fs::File::open(tar).map_err(file_error("open", tar))?;
        self.add_layer(chain, parent, &mut std::io::BufReader::with_capacity(READ, file))
    }

    fn open_layer(&self, chain: &Digest) -> Result<RootDir> {
        if !self.has_layer(chain) {
            return Err(SnapshotError::NoLayer { chain: chain.clone() });
        }
        let path = self.layout.layer(chain).join("fs");
        RootDir::open(&path).map_err(file_error("open", &path))
    }

    fn discard_layer(&self, chain: &Digest) -> Result<()> {
        let mut state = self.lock();
        for (key, top) in &state.active {
            if state.chain(top.as_ref()).unwrap_or_default().contains(chain) {
                return Err(SnapshotError::LayerInUse { chain: chain.clone(), key: key.clone() });
            }
        }
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
            if let Some(missing) = layers.iter().find(|chain| !state.layers.contains_key(*chain)) {
                return Err(SnapshotError::NoLayer { chain: missing.clone() });
            }
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

fn read_state(layout: &Layout, boot: &str) -> Result<State> {
    let mut state = State::default();
    for (path, name) in layout.list_layers()? {
        let chain = format!("sha256:{name}").parse::<Digest>();
        let meta = store::file::read_json::<LayerMeta>(&path.join("meta"));
        match (chain, meta) {
            (Ok(chain), Ok(Some(meta)))
                if meta.unsynced.as_deref().is_none_or(|unpacked| unpacked == boot) =>
            {
                state.layers.insert(chain, meta);
            }
            // Perhaps damaged by a power cut: it is unpacked again from its blob when it is needed.
            _ => std::fs::remove_dir_all(&path).map_err(file_error("remove", &path))?,
        }
    }
    for (path, key) in layout.list_active()? {
        match layout::read_top(&path) {
            Some(top) => drop(state.active.insert(key, top)),
            None => std::fs::remove_dir_all(&path).map_err(file_error("remove", &path))?,
        }
    }
    Ok(state)
}

/// One flush of the file system covers all layers.
fn sync_layers(layout: &Layout, state: &Mutex<State>, unsynced: &[Digest]) {
    let Ok(directory) = open_dir(&layout.root()) else { return };
    if rustix::fs::syncfs(&directory).is_err() {
        return;
    }
    for chain in unsynced {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(meta) = state.layers.get_mut(chain) else { continue };
        let synced = LayerMeta { unsynced: None, ..meta.clone() };
        let path = layout.layer(chain).join("meta");
        if store::file::replace_json(&path, &synced, Durability::Relaxed).is_ok() {
            *meta = synced;
        }
    }
}

fn depth(layers: &BTreeMap<Digest, LayerMeta>, chain: &Digest) -> usize {
    let mut depth = 0;
    let mut next = layers.get(chain).and_then(|meta| meta.parent.as_ref());
    while let Some(parent) = next {
        depth += 1;
        next = layers.get(parent).and_then(|meta| meta.parent.as_ref()).filter(|_| depth < 10_000);
    }
    depth
}

fn check_key(key: &str) -> Result<()> {
    let fits = !key.is_empty()
        && key.len() <= 128
        && !key.starts_with('.')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if fits { Ok(()) } else { Err(SnapshotError::Key { key: key.to_owned() }) }
}

#[cfg(test)]
mod tests;
