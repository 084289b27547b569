//! Layers: fetched side by side, and each decompressed, hashed and unpacked while it comes.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use api::image::Progress;
use distribution::{Content, Fetch, Resolved, Sources, Step};
use oci::Digest;
use oci::image::Descriptor;
use snapshot::Snapshots;

use super::{Pull, words};
use crate::registry::content::Blobs;
use crate::{Error, Result};

/// Layers unpacked at the same time.
const UNPACKERS: usize = 4;
/// Bytes between two reports of unpacking.
const REPORT: u64 = 512 << 10;

/// A layer on its way.
struct Layer {
    diff_id: Digest,
    chain: Digest,
    parent: Option<Digest>,
    /// Its place among the blobs.
    blob: usize,
    id: String,
}

/// Brings everything of an image: its blobs into the content store, its layers into the snapshots.
pub(super) fn fetch(pull: &Pull<'_>, sources: &Sources, found: &Resolved) -> Result<()> {
    let blobs = distinct(found);
    let layers = layers(found, &blobs);
    let content = Blobs(pull.inner.storage.images.content());
    let downloads = pull.inner.registries.downloads();
    let limits = pull.inner.registries.limits();
    let arrived: Arc<Vec<AtomicBool>> = Arc::new(blobs.iter().map(|_| AtomicBool::new(false)).collect());
    announce(pull, &content, &blobs, &layers, &arrived)?;
    let shown = found.layers.len();
    let told = |at: usize, step: Step| {
        let Some(blob) = blobs.get(at) else { return };
        let was = arrived.get(at).is_some_and(|flag| match step {
            Step::Complete => flag.swap(true, Ordering::AcqRel),
            _ => false,
        });
        // What was there from the beginning was said already; attestations are no layers.
        if !was && at < shown {
            pull.say(words::step(blob.digest.short(), step, blob.size));
        }
    };
    let fetch = Fetch::new(sources, &content, &blobs, &limits, &downloads, pull.stop, &told);
    let unpacker =
        Unpacker { pull, layers: &layers, blobs: &blobs, arrived: &arrived, next: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        for _ in 0..layers.len().min(UNPACKERS) {
            scope.spawn(|| unpacker.work(&fetch));
        }
        fetch.run()
    })
    .map_err(Error::from_kinded)?;
    unpacker.finish(&fetch)
}

/// All blobs of an image once: layers first.
fn distinct(found: &Resolved) -> Vec<Descriptor> {
    let mut blobs: Vec<Descriptor> = Vec::new();
    for blob in found.layers.iter().chain(&found.extras) {
        if !blobs.iter().any(|held| held.digest == blob.digest) {
            blobs.push(blob.clone());
        }
    }
    blobs
}

fn layers(found: &Resolved, blobs: &[Descriptor]) -> Vec<Layer> {
    let diff_ids = &found.config.rootfs.diff_ids;
    let chains = Snapshots::chains(diff_ids);
    let places: HashMap<&Digest, usize> =
        blobs.iter().enumerate().map(|(at, blob)| (&blob.digest, at)).collect();
    let below = std::iter::once(None).chain(chains.iter().cloned().map(Some));
    let parts = diff_ids.iter().zip(&chains).zip(below).zip(&found.layers);
    parts
        .map(|(((diff_id, chain), parent), blob)| Layer {
            diff_id: diff_id.clone(),
            chain: chain.clone(),
            parent,
            blob: places.get(&blob.digest).copied().unwrap_or_default(),
            id: blob.digest.short().to_owned(),
        })
        .collect()
}

/// Says which layers are there and which are not, before anything comes.
fn announce(
    pull: &Pull<'_>,
    content: &Blobs<'_>,
    blobs: &[Descriptor],
    layers: &[Layer],
    arrived: &[AtomicBool],
) -> Result<()> {
    let here = blobs.iter().map(|blob| content.has(blob)).collect::<std::result::Result<Vec<_>, _>>();
    let here = here.map_err(Error::from_kinded)?;
    for (flag, here) in arrived.iter().zip(&here) {
        flag.store(*here, Ordering::Release);
    }
    let known = |layer: &Layer| {
        here.get(layer.blob).copied().unwrap_or_default()
            && pull.inner.storage.snapshots.has_layer(&layer.chain)
    };
    // An image that is here altogether is not spoken of layer by layer.
    if layers.iter().all(known) {
        return Ok(());
    }
    for layer in layers {
        if known(layer) {
            pull.say(words::state(&layer.id, "Already exists"));
        } else {
            pull.say(words::state(&layer.id, "Pulling fs layer"));
        }
    }
    let at_once = pull.inner.config().registry.max_concurrent_downloads;
    let missing = layers.iter().filter(|layer| !here.get(layer.blob).copied().unwrap_or_default());
    for layer in missing.skip(if at_once == 0 { usize::MAX } else { at_once }) {
        pull.say(words::state(&layer.id, "Waiting"));
    }
    Ok(())
}

/// Unpacks layers while their blobs come.
struct Unpacker<'p> {
    pull: &'p Pull<'p>,
    layers: &'p [Layer],
    blobs: &'p [Descriptor],
    arrived: &'p Arc<Vec<AtomicBool>>,
    next: AtomicUsize,
}

impl Unpacker<'_> {
    fn work(&self, fetch: &Fetch<'_>) {
        loop {
            let Some(layer) = self.layers.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            if self.pull.inner.storage.snapshots.has_layer(&layer.chain) {
                continue;
            }
            // What fails here is tried again when the blob is there; then its error counts.
            if self.one(fetch, layer).is_ok() {
                self.pull.say(words::state(&layer.id, "Pull complete"));
            }
        }
    }

    fn one(&self, fetch: &Fetch<'_>, layer: &Layer) -> Result<()> {
        let broken = |error: std::io::Error| Error::caused("failed to register layer", error);
        let reader = Watched {
            source: fetch.open(layer.blob).map_err(broken)?,
            id: layer.id.clone(),
            total: self.blobs.get(layer.blob).map_or(0, |blob| blob.size),
            current: 0,
            reported: 0,
            arrived: Arc::clone(self.arrived),
            blob: layer.blob,
            tell: self.pull.tell.clone(),
        };
        let mut tar = image::unpacked(reader, layer.diff_id.clone()).map_err(broken)?;
        let snapshots = &self.pull.inner.storage.snapshots;
        snapshots
            .add_layer(&layer.chain, layer.parent.as_ref(), &mut tar)
            .map_err(|error| Error::from_kinded(error).prefixed("failed to register layer"))
    }

    /// Unpacks what could not be unpacked on the way. From here to the image's record nobody may collect layers.
    fn finish(&self, fetch: &Fetch<'_>) -> Result<()> {
        let snapshots = &self.pull.inner.storage.snapshots;
        for layer in self.layers.iter().filter(|layer| !snapshots.has_layer(&layer.chain)) {
            if self.pull.stop.is_stopped() {
                return Err(Error::from_kinded(distribution::DistributionError::Cancelled));
            }
            self.one(fetch, layer)?;
            self.pull.say(words::state(&layer.id, "Pull complete"));
        }
        Ok(())
    }
}

/// The bytes of a blob on their way into the snapshots; told only when the blob is there.
struct Watched {
    source: Box<dyn Read + Send>,
    id: String,
    total: u64,
    current: u64,
    reported: u64,
    arrived: Arc<Vec<AtomicBool>>,
    blob: usize,
    tell: Sender<Progress>,
}

impl Read for Watched {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(out)?;
        self.current += count as u64;
        let arrived = self.arrived.get(self.blob).is_some_and(|flag| flag.load(Ordering::Acquire));
        let far = self.current - self.reported >= REPORT
            || (self.current == self.total && self.reported < self.total);
        if arrived && far {
            self.reported = self.current;
            let _ = self.tell.send(words::bar(&self.id, "Extracting", self.current, self.total));
        }
        Ok(count)
    }
}
