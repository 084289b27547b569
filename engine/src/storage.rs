//! Images, writable layers and volumes together: what containers stand on.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use ::container::ContainerRecord;
use ::image::{Images, Kept, Pending};
use linux::overlay::Lower;
use linux::root::RootDir;
use oci::image::Descriptor;
use oci::{Digest, Platform};
use snapshot::{Change, DriverChoice, LayerSource, SnapshotError, Snapshots, Stack};
use store::Store;
use volume::{CreateVolume, Volumes};

use crate::container::merge::ImageDefaults;
use crate::container::mount_request::MountRequest;
use crate::error::Context;
use crate::layout::Layout;
use crate::{Error, Result, etc};

mod inherited;

pub(crate) use inherited::{defaults, health_document};

/// The storage components of one engine.
pub(crate) struct Storage {
    pub(crate) images: Images,
    pub(crate) build_cache: crate::build::Cache,
    pub(crate) build_history: crate::build::History,
    pub(crate) snapshots: Snapshots,
    pub(crate) volumes: Volumes,
}

/// An image as far as a container needs it.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its id.
    pub(crate) id: String,
    /// Its manifest on the platform that was chosen.
    pub(crate) manifest: Descriptor,
    /// What its programs are for.
    pub(crate) platform: Platform,
    /// What containers inherit.
    pub(crate) defaults: ImageDefaults,
    /// Its layers, lowest first.
    pub(crate) diff_ids: Vec<Digest>,
}

/// A volume that a new container uses.
#[derive(Debug)]
pub(crate) struct Acquired {
    /// Its name, perhaps a generated one.
    pub(crate) name: String,
    /// Its folder on the host.
    pub(crate) path: String,
    /// Whether it was made just now.
    pub(crate) created: bool,
}

impl Storage {
    pub(crate) fn open(store: &Store, layout: &Layout, driver: DriverChoice) -> Result<Self> {
        let build_cache = crate::build::Cache::open(store)?;
        let images = Images::open_pinned(
            &layout.image_dir(),
            store.clone(),
            ::image::Limits::DEFAULT,
            build_cache.blobs(),
        );
        Ok(Self {
            images: images.map_err(Error::from_kinded)?,
            build_cache,
            build_history: crate::build::History::open(layout)?,
            snapshots: Snapshots::open(&layout.snapshot_dir(), driver).map_err(Error::from_kinded)?,
            volumes: Volumes::open(&layout.volume_dir(), store.clone()).map_err(Error::from_kinded)?,
        })
    }

    /// Finds an image and makes sure that its layers are unpacked.
    pub(crate) fn resolve(&self, reference: &str, platform: Option<&str>) -> Result<Image> {
        let mut found = self.images.find(reference).map_err(Error::from_kinded)?;
        if let Some(wanted) = platform {
            found = on_platform(reference, wanted, &found).map(Arc::new)?;
        }
        self.unpack(&found)?;
        Ok(Image {
            id: found.id.to_string(),
            manifest: found.manifest.clone(),
            platform: found.config.platform.clone(),
            defaults: defaults(&found),
            diff_ids: found.diff_ids().to_vec(),
        })
    }

    /// Unpacks the layers of an image that are not there yet.
    pub(crate) fn unpack(&self, image: &::image::Image) -> Result<()> {
        if self.snapshots.is_unpacked(image.diff_ids()) {
            return Ok(());
        }
        let blob = |index: usize| image.layers.get(index).map(|layer| layer.blob.digest.clone());
        self.unpack_blobs(image.diff_ids(), &blob)
    }

    /// Unpacks layers that are not there yet, given their blobs.
    pub(crate) fn unpack_blobs(
        &self,
        diff_ids: &[Digest],
        blob: &(dyn Fn(usize) -> Option<Digest> + Sync),
    ) -> Result<()> {
        if self.snapshots.is_unpacked(diff_ids) {
            return Ok(());
        }
        let _lease = self.snapshots.lease();
        let open = |index: usize, diff_id: &Digest| {
            let blob = blob(index).ok_or(std::io::ErrorKind::NotFound)?;
            if blob == *diff_id {
                // Not compressed: the blob is the tar, and was verified when it came in.
                return Ok(LayerSource::File(self.images.content().path(&blob)));
            }
            self.images.open_tar(&blob, diff_id).map(LayerSource::Stream)
        };
        self.snapshots.unpack(diff_ids, &open).map_err(Error::from_kinded)
    }

    /// The files of some layers, given their blobs, to be looked at; no layers are an empty root.
    pub(crate) fn open_layers(
        &self,
        diff_ids: &[Digest],
        blob: &(dyn Fn(usize) -> Option<Digest> + Sync),
    ) -> Result<RootDir> {
        self.unpack_blobs(diff_ids, blob)?;
        mount_detached(&self.snapshots.view(diff_ids).map_err(Error::from_kinded)?)
    }

    /// Keeps an image that is complete, once it is unpacked: what does not unpack leaves nothing.
    pub(crate) fn keep(&self, pending: Pending) -> Result<Kept> {
        self.unpack(pending.image()).and_then(|()| self.keep_unpacked(pending)).inspect_err(|_| self.sweep())
    }

    /// The same for all images of an archive: none is there before all are unpacked.
    pub(crate) fn keep_all(&self, pending: Vec<Pending>) -> Result<Vec<Kept>> {
        let unpacked = pending.iter().try_for_each(|one| self.unpack(one.image()));
        unpacked
            .and_then(|()| pending.into_iter().map(|one| self.keep_unpacked(one)).collect())
            .inspect_err(|_| self.sweep())
    }

    fn keep_unpacked(&self, pending: Pending) -> Result<Kept> {
        let manifest = pending.image().manifest.digest.clone();
        let kept = pending.keep().map_err(Error::from_kinded)?;
        // Layers may have been collected before the image was known; if they cannot be made now, its first use does it.
        if let Err(error) = self.unpack(&kept.image.with_manifest(&manifest)) {
            eprintln!("image {}: {}", kept.image.id, model::error::chain(&error));
        }
        Ok(kept)
    }

    /// Removes the layers no image and no container stands on any more; their chain ids.
    pub(crate) fn collect_layers(&self) -> Result<Vec<Digest>> {
        let chains = |image: &Arc<::image::Image>| {
            image.all_diff_ids().flat_map(Snapshots::chains).collect::<Vec<_>>()
        };
        let keep = || {
            let of_images = self.images.list();
            of_images.iter().flat_map(chains).chain(self.build_cache.chains()).collect()
        };
        self.snapshots.collect(keep).map_err(Error::from_kinded)
    }

    /// Removes what a failure, or an engine that was killed, left of images nobody came to know. What damaged images
    /// stand on is not known: then nothing goes.
    pub(crate) fn sweep(&self) {
        if !self.images.damaged().is_empty() {
            return;
        }
        if let Err(error) = self.collect_layers() {
            eprintln!("removing layers nobody uses: {}", model::error::chain(&error));
        }
    }

    /// Unpacks one layer of an image anew, because what is there is not what it should be.
    pub(crate) fn unpack_again(&self, image: &::image::Image, chain: &Digest) -> Result<()> {
        self.snapshots.discard_layer(chain).map_err(Error::from_kinded)?;
        self.unpack(image)
    }

    /// Makes a container's writable layer.
    pub(crate) fn prepare_root(&self, key: &str, image: Option<&Image>) -> Result<()> {
        let layers = image.map(|image| image.diff_ids.as_slice()).unwrap_or_default();
        self.snapshots.prepare(key, layers).map(|_| ()).map_err(Error::from_kinded)
    }

    /// What the shim mounts as the container's root, and the mount that goes with it.
    pub(crate) fn shim_root(
        &self,
        key: &str,
        volatile: bool,
    ) -> Result<(shim_protocol::Rootfs, Option<Arc<OwnedFd>>)> {
        let stack = self.stack(key)?;
        let mut overlay = shim_protocol::Overlay {
            upper: stack.upper.as_ref().map(|(upper, _)| upper.clone()),
            work: stack.upper.map(|(_, work)| work),
            volatile,
            ..shim_protocol::Overlay::default()
        };
        let mut below = None;
        for lower in stack.lowers {
            match lower {
                Lower::Directory(path) => overlay.lower.push(path),
                // A driver has one at most, and nothing below it.
                Lower::Mount(mount, path) => (overlay.mount, below) = (Some(path), Some(mount)),
            }
        }
        Ok((shim_protocol::Rootfs::Overlay(overlay), below))
    }

    /// What to stack for a writable layer. Layers that are gone (after a power cut, or when the driver has changed) are
    /// made again from the image they are of.
    fn stack(&self, key: &str) -> Result<Stack> {
        match self.snapshots.stack(key) {
            Err(SnapshotError::NoLayer { chain }) => {
                let has = |diff_ids: &&[Digest]| Snapshots::chains(diff_ids).contains(&chain);
                for image in self.images.list() {
                    if let Some(diff_ids) = image.all_diff_ids().find(has) {
                        self.unpack(&image.with_layers(diff_ids))?;
                        break;
                    }
                }
                self.snapshots.stack(key).map_err(Error::from_kinded)
            }
            stack => stack.map_err(Error::from_kinded),
        }
    }

    /// A container's root as a detached mount: nobody else sees it. Read-only, so that nothing has to be synced when it
    /// goes and a running container may have its own mount of the same layers.
    pub(crate) fn open_root(&self, key: &str) -> Result<RootDir> {
        let stack = self.stack(key)?;
        let upper = stack.upper.map(|(upper, _)| Lower::from(upper));
        mount_detached(&Stack { lowers: upper.into_iter().chain(stack.lowers).collect(), upper: None })
    }

    /// The same to write into; only for containers that do not run.
    pub(crate) fn open_root_to_write(&self, key: &str) -> Result<RootDir> {
        mount_detached(&self.stack(key)?)
    }

    /// Files of the root's `/etc`, found by looking through the layers without mounting anything; `None` when links or
    /// renamed folders make that too simple.
    pub(crate) fn read_etc(&self, key: &str, names: [&str; 2], limit: u64) -> Option<[Vec<u8>; 2]> {
        let stack = self.stack(key).ok()?;
        let upper = stack.upper.into_iter().map(|(upper, _)| Lower::from(upper));
        let layers: Vec<Lower> = upper.chain(stack.lowers).collect();
        let [first, second] = names;
        Some([etc::read(&layers, first, limit)?, etc::read(&layers, second, limit)?])
    }

    /// The folders `inspect` shows of a writable layer.
    pub(crate) fn root_folders(&self, key: &str) -> Option<BTreeMap<String, String>> {
        let stack = self.snapshots.stack(key).ok()?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let lowers: Vec<String> = stack.lowers.iter().map(|lower| text(lower.path())).collect();
        let mut folders = BTreeMap::from([("LowerDir".to_owned(), lowers.join(":"))]);
        if let Some((upper, work)) = &stack.upper {
            folders.insert("UpperDir".to_owned(), text(upper));
            folders.insert("WorkDir".to_owned(), text(work));
            // Where it would be mounted; the mount is only in the container's own namespace.
            folders.insert("MergedDir".to_owned(), text(&upper.with_file_name("merged")));
        }
        Some(folders)
    }

    /// Bytes a container changed.
    pub(crate) fn root_size(&self, key: &str) -> u64 {
        self.snapshots.usage(key).map_or(0, |usage| usage.size)
    }

    /// What a container changed.
    pub(crate) fn root_changes(&self, key: &str) -> Result<Vec<Change>> {
        self.snapshots.changes(key).map_err(Error::from_kinded)
    }

    /// Keys of all writable layers.
    pub(crate) fn root_keys(&self) -> Vec<String> {
        self.snapshots.keys()
    }

    /// Removes a writable layer; what cannot be removed now is removed at the next start.
    pub(crate) fn remove_root(&self, key: &str) {
        if let Err(error) = self.snapshots.remove(key) {
            eprintln!("writable layer {key}: {}", model::error::chain(&error));
        }
    }

    /// Bytes of an image's layers, on the platform of a manifest.
    pub(crate) fn image_size(&self, id: &str, manifest: Option<&Descriptor>) -> u64 {
        let Ok(image) = self.images.find(id) else { return 0 };
        let image =
            manifest.map_or_else(|| (*image).clone(), |manifest| image.with_manifest(&manifest.digest));
        self.snapshots.image_usage(image.diff_ids()).map_or(0, |usage| usage.size)
    }

    /// How many images there are.
    pub(crate) fn image_count(&self) -> i64 {
        i64::try_from(self.images.list().len()).unwrap_or(i64::MAX)
    }

    /// Whether a reference means this image now.
    pub(crate) fn names_image(&self, reference: &str, id: &str) -> bool {
        self.images.find(reference).is_ok_and(|image| image.id.as_str() == id)
    }

    /// Ids of an image and of all that were made from it (they have its layers below theirs).
    pub(crate) fn descendants(&self, reference: &str) -> Vec<String> {
        let Ok(ancestor) = self.images.find(reference) else { return Vec::new() };
        let lower = ancestor.diff_ids();
        let above = |image: &::image::Image| image.diff_ids().starts_with(lower) && !lower.is_empty();
        let images = self.images.list();
        let mut ids: Vec<String> =
            images.iter().filter(|image| above(image)).map(|image| image.id.to_string()).collect();
        ids.push(ancestor.id.to_string());
        ids
    }

    /// Finds or makes the volume a mount wants, and notes that the container uses it.
    pub(crate) fn acquire_volume(&self, wish: &MountRequest, container: &str) -> Result<Acquired> {
        let (volume, created) = self
            .volumes
            .create(CreateVolume {
                name: wish.name.clone(),
                driver: wish.driver.clone(),
                options: (!wish.volume_options.is_empty()).then(|| wish.volume_options.clone()),
                labels: (!wish.volume_labels.is_empty()).then(|| wish.volume_labels.clone()),
            })
            .map_err(Error::from_kinded)?;
        self.volumes.acquire(&volume.name, container).map_err(Error::from_kinded)?;
        let path = volume.mountpoint.to_string_lossy().into_owned();
        Ok(Acquired { name: volume.name, path, created })
    }

    /// Removes a volume that was made for a creation that failed.
    pub(crate) fn discard_volume(&self, name: &str) {
        if let Err(error) = self.volumes.remove(name, true) {
            eprintln!("volume {name}: {}", model::error::chain(&error));
        }
    }

    /// Fills an empty volume with what the container's root has at a path.
    pub(crate) fn fill_volume(&self, name: &str, key: &str, destination: &str) -> Result<()> {
        let root = self.open_root(key)?;
        let relative = destination.trim_start_matches('/');
        self.volumes.prefill(name, &root, Path::new(relative)).map_err(Error::from_kinded)
    }

    /// Notes that a container uses its volumes.
    pub(crate) fn acquire_volumes(&self, record: &ContainerRecord) {
        for mount in record.mounts.iter().filter(|mount| mount.kind == "volume") {
            // A volume somebody deleted by hand is missed at the start, with a clear error.
            let _ = self.volumes.acquire(&mount.name, record.id.as_str());
        }
    }

    /// The container does not use its volumes any more.
    pub(crate) fn release_volumes(&self, record: &ContainerRecord) {
        for mount in record.mounts.iter().filter(|mount| mount.kind == "volume") {
            self.volumes.release(&mount.name, record.id.as_str());
        }
    }
}

/// A stack of layers as a detached mount.
pub(crate) fn mount_detached(stack: &Stack) -> Result<RootDir> {
    let overlay = linux::overlay::Overlay {
        lowers: stack.lowers.clone(),
        upper: stack.upper.clone(),
        ..linux::overlay::Overlay::default()
    };
    overlay.mount().map(RootDir::from_fd).doing(|| "mounting the container's root".to_owned())
}

/// The image as it is on a platform.
fn on_platform(reference: &str, wanted: &str, image: &::image::Image) -> Result<::image::Image> {
    let parsed: Platform = wanted.parse().map_err(|_| {
        Error::invalid(format!("\"{wanted}\": cannot parse platform specifier: invalid argument"))
    })?;
    image.on(&parsed).ok_or_else(|| {
        Error::not_found(format!(
            "image with reference {reference} was found but does not match the specified platform: wanted {}, actual: {}",
            parsed.text(),
            image.config.platform.text()
        ))
    })
}
