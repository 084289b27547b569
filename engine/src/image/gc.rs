//! Removes images by themselves: when they need more room than the configuration gives them, the ones that waited
//! longest go first.
//!
//! Nothing here has a clock: it runs after something was taken in or made, when the engine starts, and when its
//! configuration is read anew.

use std::sync::Arc;

use model::Timestamp;

use super::remove;
use crate::Result;
use crate::config::ImageBudget;
use crate::engine::Inner;
use crate::system::disk_usage::{free_space, image_space};

/// What a new engine does in the background: layers that its predecessor unpacked for images nobody came to know go,
/// and then images as ever.
pub(crate) fn begin(inner: &Arc<Inner>) {
    let held = Arc::clone(inner);
    inner.worker.run(move || {
        held.storage.sweep();
        schedule(&held);
    });
}

/// Looks in the background whether something has to go; no budget, no work.
pub(crate) fn schedule(inner: &Arc<Inner>) {
    if inner.config().image_budget.is_none() {
        return;
    }
    let held = Arc::clone(inner);
    inner.worker.run(move || {
        if let Err(error) = collect(&held) {
            eprintln!("removing unused images: {}", model::error::chain(&error));
        }
    });
}

/// Removes unused images until the rest is within the budget, or nothing else may go. Answers how many went.
pub(crate) fn collect(inner: &Inner) -> Result<usize> {
    let Some(budget) = inner.config().image_budget.clone() else { return Ok(0) };
    let mut count = 0;
    if !is_within(inner, &budget) {
        // What builds have left can be made again, and holds layers of images that are gone.
        crate::build::give_room(inner)?;
    }
    for image in inner.storage.images.unused(&remove::uses(inner)) {
        if is_within(inner, &budget) {
            break;
        }
        let may_go = |image: &::image::Image| may_go(image, &budget, Timestamp::now());
        if may_go(&image) && remove::remove_unused(inner, &image.id, &may_go)? {
            count += 1;
        }
    }
    Ok(count)
}

fn is_within(inner: &Inner, budget: &ImageBudget) -> bool {
    let fits = budget.size.is_none_or(|size| image_space(inner).unwrap_or(0) <= size);
    fits && budget.free.is_none_or(|free| free_space(inner).unwrap_or(u64::MAX) >= free)
}

fn may_go(image: &::image::Image, budget: &ImageBudget, now: Timestamp) -> bool {
    let waited =
        image::waiting_since(image).map_or(i64::MAX, |since| now.seconds().saturating_sub(since.seconds()));
    let keep = i64::try_from(budget.keep.as_secs()).unwrap_or(i64::MAX);
    waited >= keep && !is_pinned(image, budget)
}

fn is_pinned(image: &::image::Image, budget: &ImageBudget) -> bool {
    let labels = image.config.config.labels.clone().unwrap_or_default();
    let has_label = |wanted: &String| match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|held| held == value),
        None => labels.contains_key(wanted),
    };
    let has_name = |pattern: &String| super::list::matches_reference(image, pattern);
    budget.pinned_labels.iter().any(has_label) || budget.pinned_names.iter().any(has_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, used: i64) -> ::image::Image {
        let config = oci::image::ImageConfig {
            config: oci::image::ContainerConfig {
                labels: Some([("keep".to_owned(), "yes".to_owned())].into()),
                ..oci::image::ContainerConfig::default()
            },
            ..oci::image::ImageConfig::default()
        };
        let digest = oci::Digest::of(name.as_bytes());
        let target = oci::image::Descriptor::of(oci::image::media::OCI_MANIFEST, name.as_bytes());
        ::image::Image {
            id: digest.clone(),
            manifest: target.clone(),
            target,
            config_digest: digest,
            config,
            layers: Vec::new(),
            others: Vec::new(),
            left_out: std::collections::BTreeSet::new(),
            shown: None,
            names: vec![name.parse().unwrap()],
            parent: None,
            last_tagged: None,
            last_used: Some(Timestamp::from_unix(used, 0)),
            added: Some(Timestamp::from_unix(10, 0)),
            content_size: 0,
        }
    }

    #[test]
    fn what_is_pinned_or_was_used_lately_stays() {
        let now = Timestamp::from_unix(1_000, 0);
        let hour = std::time::Duration::from_secs(100);
        let budget = |labels: &[&str], names: &[&str]| ImageBudget {
            keep: hour,
            pinned_labels: labels.iter().map(|text| (*text).to_owned()).collect(),
            pinned_names: names.iter().map(|text| (*text).to_owned()).collect(),
            ..ImageBudget::default()
        };
        for (used, labels, names, goes) in [
            (500, &[][..], &[][..], true),
            (900, &[], &[], true),
            (901, &[], &[], false),
            (500, &["keep"], &[], false),
            (500, &["keep=yes"], &[], false),
            (500, &["keep=no", "other"], &["other*"], true),
            (500, &[], &["app"], false),
            (500, &[], &["a*:1"], false),
        ] {
            let found = may_go(&image("app:1", used), &budget(labels, names), now);
            assert_eq!(found, goes, "{used} {labels:?} {names:?}");
        }
    }
}
