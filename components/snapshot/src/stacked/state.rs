//! What is there: layers and snapshots, as read from the directory at open.

use std::collections::BTreeMap;

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::SnapshotError;
use crate::error::{Result, file_error};
use crate::stacked::Form;
use crate::stacked::layout::{self, Layout};

#[derive(Default)]
pub(super) struct State {
    pub(super) layers: BTreeMap<Digest, LayerMeta>,
    /// Snapshots with the layer they stand on.
    pub(super) active: BTreeMap<String, Option<Digest>>,
}

/// What is stored beside a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LayerMeta {
    pub(super) parent: Option<Digest>,
    pub(super) size: u64,
    pub(super) disk: u64,
    pub(super) inodes: u64,
    /// The boot it was unpacked in, until its files are known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unsynced: Option<String>,
}

impl State {
    /// A layer and all below it, lowest first.
    pub(super) fn chain(&self, top: Option<&Digest>) -> Result<Vec<Digest>> {
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

pub(super) fn read_state(layout: &Layout, boot: &str, form: &impl Form) -> Result<State> {
    let mut state = State::default();
    for (path, name) in layout.list_layers()? {
        let chain = format!("sha256:{name}").parse::<Digest>();
        let meta = store::file::read_json::<LayerMeta>(&path.join("meta"));
        match (chain, meta) {
            (Ok(chain), Ok(Some(meta)))
                if meta.unsynced.as_deref().is_none_or(|unpacked| unpacked == boot)
                    && form.is_here(&path) =>
            {
                state.layers.insert(chain, meta);
            }
            // Of another driver or perhaps damaged by a power cut: made again from its blob when it is needed.
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

pub(super) fn depth(layers: &BTreeMap<Digest, LayerMeta>, chain: &Digest) -> usize {
    let mut depth = 0;
    let mut next = layers.get(chain).and_then(|meta| meta.parent.as_ref());
    while let Some(parent) = next {
        depth += 1;
        next = layers.get(parent).and_then(|meta| meta.parent.as_ref()).filter(|_| depth < 10_000);
    }
    depth
}
