//! All images of an engine: the state in memory, its records, leases and garbage collection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::Timestamp;
use oci::image::Descriptor;
use oci::{Digest, Platform, Reference};
use store::Store;

use crate::content::Content;
use crate::error::{Result, file_error};
use crate::lease::Lease;
use crate::ratio::Inflated;
use crate::record::{IMAGES, NAMES, Record};
use crate::verified::Verified;
use crate::{Image, ImageError, Limits, Pending};

/// The images. Clones are the same.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) content: Content,
    pub(crate) store: Store,
    platform: Platform,
    /// What readers see; replaced when a change is on disk.
    state: RwLock<State>,
    /// Held by whoever changes something, so that readers never wait for the disk.
    writer: Mutex<()>,
    /// Counted: more than one means somebody is taking in content.
    pub(crate) lease: Arc<()>,
    /// Blobs that stay although no image is made of them.
    pins: Mutex<HashSet<Digest>>,
}

#[derive(Default, Clone)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<Digest, Arc<Image>>,
    pub(crate) names: BTreeMap<Reference, Digest>,
    /// Ids of images that cannot be shown, and why.
    pub(crate) damaged: Vec<(Digest, String)>,
    /// What each image is made of: all blobs of it that are or may come to be there.
    pub(crate) blobs: HashMap<Digest, Arc<HashSet<Digest>>>,
}

impl Images {
    /// Opens `<data-root>/images`, removes unfinished ingests and blobs nobody refers to.
    pub fn open(root: &Path, store: Store) -> Result<Self> {
        Self::open_with(root, store, Limits::DEFAULT)
    }

    /// With limits of choice.
    pub fn open_with(root: &Path, store: Store, limits: Limits) -> Result<Self> {
        Self::open_pinned(root, store, limits, HashSet::new())
    }

    /// With blobs that stay although no image is made of them ([`Self::set_pins`]).
    pub fn open_pinned(root: &Path, store: Store, limits: Limits, pins: HashSet<Digest>) -> Result<Self> {
        let content = Content::open(root, limits)?;
        let platform = Platform::host();
        let state = read_state(&content, &store, &platform)?;
        let inner = Inner {
            content,
            store,
            platform,
            state: RwLock::new(state),
            writer: Mutex::new(()),
            lease: Arc::new(()),
            pins: Mutex::new(pins),
        };
        let images = Self { inner: Arc::new(inner) };
        images.content().note_fresh(images.content().list()?);
        let writer = images.lock();
        images.collect_garbage(&writer)?;
        drop(writer);
        Ok(images)
    }

    /// All images, the newest first.
    pub fn list(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.read(|state| state.images.values().cloned().collect());
        images.sort_by(|a, b| b.config.created.cmp(&a.config.created).then_with(|| a.id.cmp(&b.id)));
        images
    }

    /// The image of a full id.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.read(|state| state.images.get(id).cloned())
    }

    /// Images that were committed from this one.
    pub fn children(&self, id: &Digest) -> Vec<Digest> {
        self.read(|state| {
            let children = state.images.values().filter(|image| image.parent.as_ref() == Some(id));
            children.map(|image| image.id.clone()).collect()
        })
    }

    /// What an image is made of: all blobs that are or may come to be there.
    pub fn blobs(&self, id: &Digest) -> HashSet<Digest> {
        self.read(|state| state.blobs.get(id).map(|blobs| HashSet::clone(blobs)).unwrap_or_default())
    }

    /// Ids of images whose records or documents cannot be read, and why; they are kept as they are.
    pub fn damaged(&self) -> Vec<(Digest, String)> {
        self.read(|state| state.damaged.clone())
    }

    /// The blobs.
    pub fn content(&self) -> &Content {
        &self.inner.content
    }

    /// The platform images are chosen for.
    pub fn platform(&self) -> &Platform {
        &self.inner.platform
    }

    /// The uncompressed tar stream of a layer (0 is the lowest); it fails at its end when it does not have the
    /// layer's diff id. Decompressing and hashing run in a thread of their own.
    pub fn open_layer(&self, image: &Image, index: usize) -> io::Result<Box<dyn Read + Send>> {
        let layer = image.layers.get(index).ok_or(io::ErrorKind::NotFound)?;
        self.open_tar(&layer.blob.digest, &layer.diff_id)
    }

    /// The same for a blob that has the layer of a diff id.
    pub fn open_tar(&self, blob: &Digest, diff_id: &Digest) -> io::Result<Box<dyn Read + Send>> {
        let file = self.content().open_blob(blob).map_err(io::Error::other)?;
        if blob == diff_id {
            // Not compressed: it was verified when it came in.
            return Ok(Box::new(io::BufReader::with_capacity(256 << 10, file)));
        }
        let stream = Inflated::new(file, self.content().limits().expansion).map_err(io::Error::other)?;
        let stream = Verified::new(stream, diff_id.clone());
        Ok(Box::new(archive::pipe::ahead(stream)?))
    }

    /// Changes which blobs stay although no image is made of them; those that lose that go with the next collection.
    pub fn set_pins(&self, pins: HashSet<Digest>) {
        let mut held = self.inner.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, pins);
        self.content().note_fresh(before.difference(&held).cloned());
    }

    /// Removes blobs nobody refers to any more.
    pub fn collect(&self) -> Result<()> {
        let writer = self.lock();
        self.collect_garbage(&writer)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Must be held from reading the state to changing it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what readers see; the change is on disk already.
    pub(crate) fn change(&self, _writer: &MutexGuard<'_, ()>, change: impl FnOnce(&mut State)) {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.refresh_names();
    }

    /// An image that was pulled under a lease, with the names (with tags or digests) it is going to take from others. Of its
    /// manifests this one must be complete; from now on it is the one that is shown.
    pub fn pulled(
        &self,
        target: Descriptor,
        manifest: &Digest,
        names: Vec<Reference>,
        lease: Lease,
    ) -> Result<Pending> {
        let record = Record { shown: Some(manifest.clone()), ..Record::new(target, None) };
        let pending = Pending::new(self, record, names, None, lease)?;
        if pending.image().manifest.digest != *manifest {
            return Err(ImageError::MissingBlob { digest: manifest.clone() });
        }
        Ok(pending)
    }

    /// An image that is here as it is said to be, of documents and layers that did not come in again: nothing of it has to
    /// be read or written. Indexes are looked at anew: more of their platforms may have come.
    fn known(&self, record: &Record) -> Option<Arc<Image>> {
        let id = &record.target.digest;
        let (image, blobs) =
            self.read(|state| Some((state.images.get(id)?.clone(), state.blobs.get(id)?.clone())))?;
        let same = image.manifest.digest == *id && Record::of(&image).covers(record);
        let whole = || {
            let documents = [id, &image.config_digest];
            documents.iter().all(|document| self.content().size(document).is_some())
        };
        (same && !self.content().has_fresh(&blobs) && whole()).then_some(image)
    }

    /// Adds an image that was looked at already.
    pub(crate) fn keep(&self, mut record: Record, names: &[Reference]) -> Result<Arc<Image>> {
        if let Some(image) = self.known(&record) {
            if names.is_empty() {
                return Ok(image);
            }
            let id = &image.id;
            self.set_names(id, names)?;
            return self.get(id).ok_or_else(|| ImageError::NotFound { name: id.to_string() });
        }
        let content = self.content();
        let now = Timestamp::now();
        // Before the lock is taken, so that only the last of it is waited for by others.
        content.sync()?;
        let writer = self.lock();
        let id = record.target.digest.clone();
        let known = self.get(&id);
        if let Some(known) = &known {
            let before = Record::of(known);
            // What either has is part of it now.
            let left_out = before.left_out.intersection(&record.left_out).cloned().collect();
            let shown = record.shown.or(before.shown);
            record = Record { parent: record.parent.or(before.parent), left_out, shown, ..Record::of(known) };
        }
        record.added.get_or_insert(now);
        if !names.is_empty() {
            record.last_tagged = Some(now);
        }
        let (image, blobs) = record.read(content, &self.inner.platform)?;
        let mut transaction = self.inner.store.transaction();
        transaction.put(&IMAGES, id.as_str(), &record)?;
        for name in names {
            transaction.put(&NAMES, &name.canonical(), &id)?;
        }
        transaction.commit_durable()?;
        content.settle(&blobs)?;
        self.change(&writer, |state| {
            state.images.insert(id.clone(), Arc::new(image));
            state.blobs.insert(id.clone(), Arc::new(blobs));
            state.names.extend(names.iter().map(|name| (name.clone(), id.clone())));
        });
        drop(writer);
        self.get(&id).ok_or_else(|| ImageError::NotFound { name: id.to_string() })
    }

    /// Whether everything of an image is there and fits together, on a platform if one is given; the image, without names.
    pub(crate) fn check_complete(&self, record: &Record, platform: Option<&Platform>) -> Result<Image> {
        let mut image = match self.known(record) {
            Some(known) => Image { names: Vec::new(), ..Image::clone(&known) },
            None => record.read(self.content(), self.platform())?.0,
        };
        if let Some(wanted) = platform {
            let (id, platform) = (&image.id, wanted.text());
            let missing = || ImageError::Platform { id: id.clone(), platform };
            image = image.on(wanted).ok_or_else(missing)?;
        }
        let limit = self.content().limits().layers;
        if image.layers.len() > limit {
            let what = format!("number of layers of image {}", image.id);
            return Err(ImageError::TooMany { what, limit });
        }
        for layer in &image.layers {
            if !self.content().has(&layer.blob)? {
                return Err(ImageError::MissingBlob { digest: layer.blob.digest.clone() });
            }
            let compressed = layer.blob.media_type.contains("gzip") || layer.blob.media_type.contains("zstd");
            if !compressed && layer.blob.digest != layer.diff_id && !self.is_compressed(&layer.blob.digest)? {
                let expected = layer.diff_id.clone();
                return Err(ImageError::Mismatch { expected, found: layer.blob.digest.clone() });
            }
        }
        Ok(image)
    }

    fn is_compressed(&self, digest: &Digest) -> Result<bool> {
        let mut start = Vec::new();
        let blob = self.content().open_blob(digest)?;
        let read = blob.take(6).read_to_end(&mut start);
        read.map_err(file_error("read", &self.content().path(digest)))?;
        Ok(archive::Compression::detect(&start) != archive::Compression::None)
    }

    /// Whether somebody is taking in content.
    pub(crate) fn is_leased(&self) -> bool {
        Arc::strong_count(&self.inner.lease) > 1
    }

    /// Removes the blobs that came in or lost their image and that no image is made of, unless somebody is taking in
    /// content: then it happens when the last lease ends.
    pub(crate) fn collect_garbage(&self, writer: &MutexGuard<'_, ()>) -> Result<()> {
        let content = self.content();
        self.garbage(writer).iter().try_for_each(|blob| content.remove(blob))
    }

    /// The same where nobody counts the room right afterwards: it comes free a moment later.
    pub(crate) fn collect_garbage_soon(&self, writer: &MutexGuard<'_, ()>) -> Result<()> {
        self.content().remove_all(&self.garbage(writer))
    }

    fn garbage(&self, _writer: &MutexGuard<'_, ()>) -> Vec<Digest> {
        if self.is_leased() {
            return Vec::new();
        }
        let content = self.content();
        let (images, damaged) = self.read(|state| {
            let blobs: Vec<_> = state.blobs.values().cloned().collect();
            (blobs, !state.damaged.is_empty())
        });
        if damaged {
            // What a damaged image is made of cannot be known: nothing is thrown away.
            return Vec::new();
        }
        let mut gone = content.take_fresh();
        if gone.is_empty() {
            return Vec::new();
        }
        for blobs in images {
            gone.retain(|blob| !blobs.contains(blob));
        }
        let pins = self.inner.pins.lock().unwrap_or_else(PoisonError::into_inner).clone();
        gone.retain(|blob| !pins.contains(blob));
        gone.into_iter().collect()
    }
}

/// The next of a queue that several threads work off.
pub(crate) fn next<I: Iterator>(queue: &Mutex<I>) -> Option<I::Item> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

impl State {
    /// An image goes; its blobs are candidates for removal now.
    pub(crate) fn forget(&mut self, id: &Digest, content: &Content) {
        self.images.remove(id);
        self.names.retain(|_, named| named != id);
        if let Some(blobs) = self.blobs.remove(id) {
            content.note_fresh(blobs.iter().cloned());
        }
    }

    /// Puts the names into the images; those whose names did not change stay the same values.
    fn refresh_names(&mut self) {
        let mut names: BTreeMap<&Digest, Vec<Reference>> = BTreeMap::new();
        for (name, id) in &self.names {
            names.entry(id).or_default().push(name.clone());
        }
        for (id, image) in &mut self.images {
            let new = names.remove(id).unwrap_or_default();
            if image.names != new {
                Arc::make_mut(image).names = new;
            }
        }
    }
}

fn read_state(content: &Content, store: &Store, platform: &Platform) -> Result<State> {
    let mut state = State::default();
    let images = store.list_readable(&IMAGES)?;
    for (key, error) in images.unreadable {
        // Keys are ids; what is none names no image.
        state.damaged.extend(key.parse().map(|id| (id, model::error::chain(&error))));
    }
    for (key, record) in images.records {
        let id = record.target.digest.clone();
        match record.read(content, platform) {
            Ok((image, blobs)) if id.as_str() == key => {
                state.blobs.insert(id.clone(), Arc::new(blobs));
                state.images.insert(id, Arc::new(image));
            }
            Ok(_) => state.damaged.push((id, "its record has another id".to_owned())),
            Err(error) => state.damaged.push((id, model::error::chain(&error))),
        }
    }
    // A name that cannot be read is lost; its image is still found by id.
    for (name, id) in store.list_readable(&NAMES)?.records {
        if let Ok(name) = name.parse() {
            state.names.insert(name, id);
        }
    }
    state.refresh_names();
    Ok(state)
}

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod platform_tests;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;
