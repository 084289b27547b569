//! `GET /system/df`.

use std::collections::{BTreeMap, BTreeSet};

use api::system::{DiskUsage, Usage};
use oci::Digest;

use crate::container::list;
use crate::container::parameters::ListParameters;
use crate::engine::Inner;
use crate::error::Context;
use crate::image;
use crate::volume::document_with_usage;
use crate::{Error, Result};

const TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];

pub(super) fn disk_usage(inner: &Inner, types: &[String]) -> Result<DiskUsage> {
    if let Some(unknown) = types.iter().find(|kind| !TYPES.contains(&kind.as_str())) {
        return Err(Error::invalid(format!("unknown object type: {unknown}")));
    }
    let wanted = |kind: &str| types.is_empty() || types.iter().any(|held| held == kind);
    let mut usage = DiskUsage::default();
    if wanted("image") {
        add_images(inner, &mut usage)?;
    }
    if wanted("container") {
        add_containers(inner, &mut usage)?;
    }
    if wanted("volume") {
        add_volumes(inner, &mut usage);
    }
    if wanted("build-cache") {
        add_build_cache(inner, &mut usage);
    }
    Ok(usage)
}

/// What images have, too, takes no room of its own.
fn add_build_cache(inner: &Inner, usage: &mut DiskUsage) {
    let items = crate::build::cached(inner);
    let own = items.iter().filter(|item| !item.shared).map(|item| item.size).sum();
    usage.build_cache_usage = Some(Usage {
        active_count: 0,
        items: Some(items.clone()),
        reclaimable: own,
        total_count: count(items.len()),
        total_size: own,
    });
    usage.build_cache = Some(items);
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn add_images(inner: &Inner, usage: &mut DiskUsage) -> Result<()> {
    let images = image::list::summaries_with_use(inner)?;
    let active = images.iter().filter(|image| image.containers > 0).count();
    let room = Room::measure(inner)?;
    let layers = signed(room.total());
    let used = signed(room.in_use(inner));
    usage.layers_size = Some(layers);
    usage.image_usage = Some(Usage {
        active_count: count(active),
        total_count: count(images.len()),
        reclaimable: (layers - used).max(0),
        total_size: layers,
        items: Some(images.clone()),
    });
    usage.images = Some(images);
    Ok(())
}

/// Bytes on disk that images take, as `du` counts them: blobs, and unpacked layers.
pub(crate) fn image_space(inner: &Inner) -> Result<u64> {
    Ok(Room::measure(inner)?.total())
}

/// Bytes that are free where the data is.
pub(crate) fn free_space(inner: &Inner) -> Result<u64> {
    let free = rustix::fs::statvfs(inner.layout.data_root());
    let free = free.doing(|| "asking for free space".to_owned())?;
    Ok(free.f_bavail.saturating_mul(free.f_frsize))
}

struct Room {
    content: ::image::ContentUsage,
    /// By chain id.
    layers: BTreeMap<Digest, u64>,
}

impl Room {
    fn measure(inner: &Inner) -> Result<Self> {
        let content = inner.storage.images.content().usage().map_err(Error::from_kinded)?;
        Ok(Self { content, layers: inner.storage.snapshots.layers_on_disk() })
    }

    fn total(&self) -> u64 {
        self.content.total() + self.layers.values().sum::<u64>()
    }

    /// What stays when all images go that no container uses.
    fn in_use(&self, inner: &Inner) -> u64 {
        let used = image::list::uses(inner);
        let images = inner.storage.images.list();
        let (mut blobs, mut chains) = (BTreeSet::new(), BTreeSet::new());
        for image in images.iter().filter(|image| used.contains_key(image.id.as_str())) {
            blobs.extend(inner.storage.images.blobs(&image.id));
            chains.extend(image.all_diff_ids().flat_map(snapshot::Snapshots::chains));
        }
        self.content.of(&blobs) + chains.iter().filter_map(|chain| self.layers.get(chain)).sum::<u64>()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn add_containers(inner: &Inner, usage: &mut DiskUsage) -> Result<()> {
    let parameters = ListParameters { all: true, size: true, ..ListParameters::default() };
    let containers = list::list(inner, &parameters)?;
    let is_active = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let size = |active: bool| -> i64 {
        containers.iter().filter(|one| is_active(&one.state) == active).map(|one| one.size_rw).sum()
    };
    usage.container_usage = Some(Usage {
        active_count: count(containers.iter().filter(|one| is_active(&one.state)).count()),
        total_count: count(containers.len()),
        reclaimable: size(false),
        total_size: size(false) + size(true),
        items: Some(containers.clone()),
    });
    usage.containers = Some(containers);
    Ok(())
}

fn add_volumes(inner: &Inner, usage: &mut DiskUsage) {
    let volumes: Vec<api::volume::Volume> =
        inner.storage.volumes.list().iter().map(|volume| document_with_usage(inner, volume)).collect();
    let data = |volume: &api::volume::Volume| volume.usage_data.clone().unwrap_or_default();
    let total: i64 = volumes.iter().map(|volume| data(volume).size).sum();
    let unused: i64 = volumes.iter().map(data).filter(|data| data.ref_count == 0).map(|data| data.size).sum();
    usage.volume_usage = Some(Usage {
        active_count: count(volumes.iter().filter(|volume| data(volume).ref_count > 0).count()),
        total_count: count(volumes.len()),
        reclaimable: unused,
        total_size: total,
        items: Some(volumes.clone()),
    });
    usage.volumes = Some(volumes);
}
