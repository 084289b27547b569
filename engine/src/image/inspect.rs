//! `image inspect` and `history`.

use api::container::GraphDriver;
use api::image::{History, Inspect, Metadata, RootFs};
use model::timestamp::or_zero;

use super::{config, find, list};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

pub(super) fn inspect(inner: &Inner, name: &str, platform: Option<&str>) -> Result<Inspect> {
    let image = find(inner, name)?;
    if let Some(text) = platform {
        let wanted: oci::Platform = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("invalid platform: {error}")))?;
        if !wanted.accepts(&image.config.platform) {
            return Err(Error::not_found(format!(
                "image with reference {name} was found but does not provide the specified platform ({})",
                wanted.text()
            )));
        }
    }
    let platform = &image.config.platform;
    Ok(Inspect {
        id: image.id.to_string(),
        descriptor: Some(serde_json::to_value(&image.target).doing(|| "writing the descriptor".to_owned())?),
        manifests: None,
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
        size: i64::try_from(inner.storage.image_size(image.id.as_str())).unwrap_or(i64::MAX),
        virtual_size: None,
        graph_driver: Some(graph_driver(inner, &image)),
        root_fs: RootFs {
            kind: image.config.rootfs.kind.clone(),
            layers: image.diff_ids().iter().map(ToString::to_string).collect(),
        },
        metadata: Metadata { last_tag_time: or_zero(image.last_tagged) },
    })
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

pub(super) fn history(inner: &Inner, name: &str) -> Result<Vec<History>> {
    let image = find(inner, name)?;
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
