//! `image inspect` and `history`.

use std::sync::Arc;

use api::container::GraphDriver;
use api::image::{History, Inspect, Metadata, RootFs};
use model::timestamp::or_zero;
use oci::Platform;

use super::{ImageInspectParameters, config, find, list, manifests};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// An image, on one platform or on that of this machine.
fn find_on(inner: &Inner, name: &str, platform: Option<&Platform>) -> Result<Arc<::image::Image>> {
    let image = find(inner, name)?;
    let Some(wanted) = platform else { return Ok(image) };
    let lacking = || ::image::ImageError::NoPlatform { name: name.to_owned(), platform: wanted.text() };
    image.on(wanted).map(Arc::new).ok_or_else(lacking).map_err(Error::from_kinded)
}

pub(super) fn inspect(inner: &Inner, name: &str, parameters: &ImageInspectParameters) -> Result<Inspect> {
    let wanted = parameters.platform.as_ref();
    let image = find_on(inner, name, wanted)?;
    // Whoever asks for one platform is told of that one.
    let target = if wanted.is_some() { &image.manifest } else { &image.target };
    let manifests = parameters.manifests.then(|| manifests::of(inner, &image));
    let platform = &image.config.platform;
    Ok(Inspect {
        id: target.digest.to_string(),
        descriptor: Some(serde_json::to_value(target).doing(|| "writing the descriptor".to_owned())?),
        manifests,
        repo_tags: image.repo_tags(),
        repo_digests: image.repo_digests(),
        parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment: comment(&image),
        created: or_zero(image.config.created),
        container: Some(image.config.container.clone()),
        container_config: None,
        docker_version: image.config.docker_version.clone(),
        author: image.config.author.clone(),
        config: Some(config::document(&image.config.config)),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        os: platform.os.clone(),
        os_version: String::new(),
        size: i64::try_from(layers_size(inner, &image)).unwrap_or(i64::MAX),
        virtual_size: None,
        graph_driver: Some(graph_driver(inner, &image)),
        root_fs: RootFs {
            kind: image.config.rootfs.kind.clone(),
            layers: image.diff_ids().iter().map(ToString::to_string).collect(),
        },
        metadata: Metadata { last_tag_time: or_zero(image.last_tagged) },
    })
}

fn layers_size(inner: &Inner, image: &::image::Image) -> u64 {
    inner.storage.snapshots.image_usage(image.diff_ids()).map_or(0, |usage| usage.size)
}

fn comment(image: &::image::Image) -> String {
    if !image.config.comment.is_empty() {
        return image.config.comment.clone();
    }
    image.config.history.last().map(|step| step.comment.clone()).unwrap_or_default()
}

fn graph_driver(inner: &Inner, image: &::image::Image) -> GraphDriver {
    let stack = inner.storage.snapshots.view(image.diff_ids()).unwrap_or_default();
    let mut folders = stack.lowers.iter().map(|lower| lower.path().to_string_lossy().into_owned());
    let mut data = std::collections::BTreeMap::new();
    if let Some(upper) = folders.next() {
        data.insert("UpperDir".to_owned(), upper);
    }
    let lowers: Vec<String> = folders.collect();
    if !lowers.is_empty() {
        data.insert("LowerDir".to_owned(), lowers.join(":"));
    }
    GraphDriver { data: Some(data), name: inner.storage.snapshots.driver_name().to_owned() }
}

pub(super) fn history(inner: &Inner, name: &str, platform: Option<&Platform>) -> Result<Vec<History>> {
    let image = find_on(inner, name, platform)?;
    let sizes = inner.storage.snapshots.layer_usages(image.diff_ids()).unwrap_or_default();
    let mut sizes = sizes.into_iter();
    let mut steps: Vec<History> = image
        .config
        .history
        .iter()
        .map(|step| {
            let size = if step.empty_layer { 0 } else { sizes.next().map_or(0, |usage| usage.size) };
            History {
                comment: step.comment.clone(),
                created: step.created.map_or(0, model::Timestamp::seconds),
                created_by: step.created_by.clone(),
                id: "<missing>".to_owned(),
                size: i64::try_from(size).unwrap_or(i64::MAX),
                tags: None,
            }
        })
        .collect();
    // Layers that no step tells of (images of other tools).
    for usage in sizes {
        let size = i64::try_from(usage.size).unwrap_or(i64::MAX);
        steps.push(History {
            id: "<missing>".to_owned(),
            size,
            created: list::created(&image).seconds(),
            ..History::default()
        });
    }
    steps.reverse();
    if let Some(newest) = steps.first_mut() {
        newest.id = image.id.to_string();
        newest.tags = Some(image.repo_tags()).filter(|tags| !tags.is_empty());
    }
    Ok(steps)
}
