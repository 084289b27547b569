//! `images`: summaries of the images that Docker's filters choose.

use std::collections::{HashMap, HashSet};

use api::image::Summary;
use model::pattern::Pattern;
use model::{Filters, Timestamp};
use oci::Digest;

use super::{ImageListParameters, find};
use crate::container::list::parse_moment;
use crate::engine::Inner;
use crate::{Error, Result};

const FILTERS: [&str; 7] = ["before", "dangling", "label", "label!", "reference", "since", "until"];

pub(crate) fn list(inner: &Inner, parameters: &ImageListParameters) -> Result<Vec<Summary>> {
    let filters = &parameters.filters;
    filters.allow_only(&FILTERS).map_err(Error::from_kinded)?;
    let dangling = crate::image::flag(filters, "dangling")?;
    let moment = |key: &str| -> Result<Option<Timestamp>> {
        filters.get(key).next().map(|name| find(inner, name).map(|image| created(&image))).transpose()
    };
    for pattern in filters.get("reference") {
        check_pattern(pattern)?;
    }
    let (before, since) = (moment("before")?, moment("since")?);
    let until = filters.get("until").next().map(parse_moment).transpose()?;
    let images = inner.storage.images.list();
    let parents: HashSet<String> =
        images.iter().filter_map(|image| image.parent.as_ref().map(ToString::to_string)).collect();
    let used = uses(inner);
    let shared = if parameters.shared_size { shared_layers(&images) } else { HashMap::new() };
    let mut chosen: Vec<&std::sync::Arc<::image::Image>> = (images.iter())
        .filter(|image| {
            let at = created(image);
            let intermediate = image.is_dangling() && parents.contains(image.id.as_str());
            (parameters.all || !intermediate || dangling == Some(true))
                && dangling.is_none_or(|wanted| image.is_dangling() == wanted)
                && before.is_none_or(|before| at < before)
                && since.is_none_or(|since| at > since)
                && until.is_none_or(|until| at < until)
                && filters.match_labels(image.config.config.labels.as_ref().unwrap_or(&Default::default()))
                && filters.any("reference", |pattern| matches_reference(image, pattern))
        })
        .collect();
    chosen.sort_by_key(|image| std::cmp::Reverse(created(image)));
    Ok(chosen
        .into_iter()
        .map(|image| {
            let shared_size = if parameters.shared_size { shared_size(inner, image, &shared) } else { -1 };
            let mut summary =
                summary(inner, image, used.get(image.id.as_str()).copied().unwrap_or(0), shared_size);
            summary.manifests = parameters.manifests.then(|| super::manifests::of(inner, image));
            if filters.contains("reference") {
                keep_matching_tags(&mut summary, filters);
            }
            summary
        })
        .collect())
}

/// All images with the number of their containers, for `system df`.
pub(crate) fn summaries_with_use(inner: &Inner) -> Result<Vec<Summary>> {
    let parameters = ImageListParameters { shared_size: true, ..ImageListParameters::default() };
    list(inner, &parameters)
}

/// When an image was made.
pub(crate) fn created(image: &::image::Image) -> Timestamp {
    image.config.created.unwrap_or_else(|| Timestamp::from_unix(0, 0))
}

/// Number of containers by image id.
pub(crate) fn uses(inner: &Inner) -> HashMap<String, i64> {
    let mut uses = HashMap::new();
    for container in inner.containers.list() {
        *uses.entry(container.record().image_id.clone()).or_insert(0) += 1;
    }
    uses
}

fn shared_layers(images: &[std::sync::Arc<::image::Image>]) -> HashMap<Digest, usize> {
    let mut counts = HashMap::new();
    for image in images {
        for chain in snapshot::Snapshots::chains(image.diff_ids()) {
            *counts.entry(chain).or_insert(0) += 1;
        }
    }
    counts
}

fn shared_size(inner: &Inner, image: &::image::Image, counts: &HashMap<Digest, usize>) -> i64 {
    let chains = snapshot::Snapshots::chains(image.diff_ids());
    let sizes = inner.storage.snapshots.layer_usages(image.diff_ids()).unwrap_or_default();
    let shared =
        chains.iter().zip(sizes).filter(|(chain, _)| counts.get(*chain).is_some_and(|count| *count > 1));
    i64::try_from(shared.map(|(_, usage)| usage.size).sum::<u64>()).unwrap_or(i64::MAX)
}

fn summary(inner: &Inner, image: &::image::Image, containers: i64, shared_size: i64) -> Summary {
    let size = inner.storage.snapshots.image_usage(image.diff_ids()).map_or(0, |usage| usage.size);
    Summary {
        containers,
        created: created(image).seconds(),
        id: image.id.to_string(),
        labels: image.config.config.labels.clone(),
        parent_id: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        descriptor: serde_json::to_value(&image.target).ok(),
        manifests: None,
        repo_digests: Some(image.repo_digests()),
        repo_tags: Some(image.repo_tags()),
        shared_size,
        size: i64::try_from(size).unwrap_or(i64::MAX),
        virtual_size: None,
    }
}

/// With a name filter only the names that match it are shown.
fn keep_matching_tags(summary: &mut Summary, filters: &Filters) {
    for names in [&mut summary.repo_tags, &mut summary.repo_digests].into_iter().flatten() {
        names.retain(|name| filters.any("reference", |pattern| matches_name(name, pattern)));
    }
}

pub(super) fn matches_reference(image: &::image::Image, pattern: &str) -> bool {
    image.repo_tags().iter().chain(&image.repo_digests()).any(|name| matches_name(name, pattern))
}

/// Docker matches a pattern against the whole familiar name, and against the name without tag.
fn matches_name(name: &str, pattern: &str) -> bool {
    let without_digest = name.split('@').next().unwrap_or(name);
    let bare = match without_digest.rfind(':') {
        Some(colon) if !without_digest[colon..].contains('/') => &without_digest[..colon],
        _ => without_digest,
    };
    // One that is no pattern was refused before.
    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name) || pattern.matches(bare))
}

fn check_pattern(pattern: &str) -> Result<()> {
    Pattern::new(pattern).map(drop).map_err(|error| Error::invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_in_go() {
        for (pattern, name, matched) in [
            ("busybox", "busybox:latest", true),
            ("busy*", "busybox:latest", true),
            ("busy*:lat*", "busybox:latest", true),
            ("*/x", "a/x:1", true),
            ("*x", "a/x:1", false),
            ("[a-c]x", "bx:1", true),
            ("[^a]x", "ax:1", false),
            ("a?c", "abc:1", true),
            ("a[^x]b", "a/b:1", true),
            ("a?b", "a/b:1", false),
            ("a**b", "a/b:1", false),
        ] {
            assert_eq!(matches_name(name, pattern), matched, "{pattern} {name}");
        }
    }
    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["[", "[a", "\\", "[]a]", "[^"] {
            assert!(
                check_pattern(bad).is_err_and(|error| error.to_string() == "syntax error in pattern"),
                "{bad}"
            );
        }
        assert!(check_pattern(&"*a".repeat(100)).is_ok());
    }
}
