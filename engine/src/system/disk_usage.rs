//! `GET /system/df`.

use api::system::{DiskUsage, Usage};

use crate::container::list;
use crate::container::parameters::ListParameters;
use crate::engine::Inner;
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
        usage.build_cache = Some(Vec::new());
        usage.build_cache_usage = Some(Usage { items: Some(Vec::new()), ..Usage::default() });
    }
    Ok(usage)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn add_images(inner: &Inner, usage: &mut DiskUsage) -> Result<()> {
    let images = image::list::summaries_with_use(inner)?;
    let layers = inner.storage.layers_size();
    let active = images.iter().filter(|image| image.containers > 0).count();
    let used: i64 = images.iter().filter(|image| image.containers > 0).map(|image| image.size).sum();
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
