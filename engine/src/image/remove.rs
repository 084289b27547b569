//! `rmi` and `image prune`.

use std::sync::Arc;

use api::image::{DeleteItem, PruneResponse};
use image::{Image, Removed, Use};
use model::Filters;
use oci::Digest;
use snapshot::Snapshots;

use super::{event_with, labels_of};
use crate::container::list::parse_until;
use crate::engine::Inner;
use crate::event::EventType;
use crate::system::disk_usage::image_space;
use crate::{Error, Result};

pub(super) fn remove(inner: &Inner, name: &str, force: bool, no_prune: bool) -> Result<Vec<DeleteItem>> {
    let labels = labels_of(inner, name);
    let before = inner.storage.images.list();
    let removed =
        inner.storage.images.remove(name, force, !no_prune, &uses(inner)).map_err(Error::from_kinded)?;
    tell(inner, &removed, &labels);
    let layers = inner.storage.collect_layers()?;
    Ok(items(&removed, &before, layers))
}

pub(super) fn remove_platforms(
    inner: &Inner,
    name: &str,
    platforms: &[oci::Platform],
    force: bool,
) -> Result<Vec<DeleteItem>> {
    let labels = labels_of(inner, name);
    let before = inner.storage.images.list();
    let removed = inner.storage.images.remove_platforms(name, platforms, force, &uses(inner));
    let removed = removed.map_err(Error::from_kinded)?;
    // A platform that goes is no event: the image is still there.
    let whole: Vec<Removed> = (removed.iter())
        .filter(|step| !matches!(step, Removed::Deleted(id) if before.iter().all(|image| image.id != *id)))
        .cloned()
        .collect();
    tell(inner, &whole, &labels);
    let layers = inner.storage.collect_layers()?;
    Ok(items(&removed, &before, layers))
}

/// Every container's image.
pub(super) fn uses(inner: &Inner) -> Vec<Use> {
    let mut uses = Vec::new();
    for container in inner.containers.list() {
        let record = container.record();
        if let Ok(image) = record.image_id.parse() {
            let running = record.lifecycle.state.is_running();
            uses.push(Use { container: record.id.to_string(), image, running });
        }
    }
    uses
}

/// Removes an image with all its names if nothing came to use it meanwhile.
pub(super) fn remove_unused(
    inner: &Inner,
    id: &oci::Digest,
    may_go: &dyn Fn(&::image::Image) -> bool,
) -> Result<bool> {
    let labels = labels_of(inner, id.as_str());
    let mut choose = |image: &::image::Image| image.id == *id && may_go(image);
    let removed = inner.storage.images.prune(&mut choose, &uses(inner)).map_err(Error::from_kinded)?;
    tell(inner, &removed, &labels);
    inner.storage.collect_layers()?;
    Ok(!removed.is_empty())
}

fn tell(inner: &Inner, removed: &[Removed], labels: &std::collections::BTreeMap<String, String>) {
    for step in removed {
        match step {
            Removed::Untagged { image, .. } => {
                event_with(inner, "untag", image.as_str(), image.as_str(), labels.clone())
            }
            Removed::Deleted(id) => event_with(inner, "delete", id.as_str(), id.as_str(), labels.clone()),
        }
    }
}

/// What happened step by step: an image's layers that went are told after it, the uppermost first.
fn items(removed: &[Removed], before: &[Arc<Image>], mut layers: Vec<Digest>) -> Vec<DeleteItem> {
    let deleted = |digest: &Digest| DeleteItem { deleted: digest.to_string(), ..DeleteItem::default() };
    let mut items = Vec::new();
    for step in removed {
        match step {
            Removed::Untagged { name, .. } => {
                items.push(DeleteItem { untagged: name.clone(), ..DeleteItem::default() });
            }
            Removed::Deleted(id) => {
                items.push(deleted(id));
                let image = before.iter().find(|image| image.id == *id);
                let chains = image.map(|image| Snapshots::chains(image.diff_ids())).unwrap_or_default();
                for chain in chains.iter().rev() {
                    if let Some(at) = layers.iter().position(|layer| layer == chain) {
                        items.push(deleted(&layers.swap_remove(at)));
                    }
                }
            }
        }
    }
    items
}

pub(super) fn prune(inner: &Inner, filters: &Filters) -> Result<PruneResponse> {
    filters.allow_only(&["dangling", "label", "label!", "until"]).map_err(Error::from_kinded)?;
    let only_dangling = crate::image::flag(filters, "dangling")?.unwrap_or(true);
    let until = parse_until(filters)?;
    let (held, before) = (inner.storage.images.list(), image_space(inner)?);
    let none = std::collections::BTreeMap::new();
    let mut choose = |image: &::image::Image| {
        (!only_dangling || image.is_dangling())
            && until.is_none_or(|until| super::list::created(image) < until)
            && filters.match_labels(image.config.config.labels.as_ref().unwrap_or(&none))
    };
    let removed = inner.storage.images.prune(&mut choose, &uses(inner)).map_err(Error::from_kinded)?;
    tell(inner, &removed, &none);
    let layers = inner.storage.collect_layers()?;
    if !only_dangling {
        // What broken pulls left belongs to nobody either.
        inner
            .storage
            .images
            .content()
            .trim_partial(std::time::Duration::ZERO, 0)
            .map_err(Error::from_kinded)?;
    }
    let space_reclaimed = before.saturating_sub(image_space(inner)?);
    let attributes = [("reclaimed".to_owned(), space_reclaimed.to_string())].into();
    inner.events.publish(EventType::Image, "prune", "", attributes);
    let deleted = items(&removed, &held, layers);
    Ok(PruneResponse { images_deleted: (!deleted.is_empty()).then_some(deleted), space_reclaimed })
}
