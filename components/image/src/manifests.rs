//! What the index of an image offers, and what of it is here.

use std::collections::HashSet;

use oci::image::{Descriptor, media};
use oci::{Digest, Platform};

use crate::record::{Target, blobs, is_attestation, read_target, subject};
use crate::{Image, Images, Variant};

/// A manifest of an image, here or not.
#[derive(Debug, Clone)]
pub struct ManifestInfo {
    /// Its descriptor, as the index has it.
    pub descriptor: Descriptor,
    /// What it is of.
    pub kind: ManifestKind,
    /// Bytes of what is here of it: its document and its blobs.
    pub content_size: u64,
}

/// What a manifest is of.
#[derive(Debug, Clone)]
pub enum ManifestKind {
    /// An image on a platform, with its parts when all of them are here.
    Image {
        /// The platform.
        platform: Platform,
        /// The parts.
        variant: Option<Box<Variant>>,
    },
    /// Statements about another manifest.
    Attestation {
        /// The other one.
        about: Digest,
    },
    /// The index does not say, and the manifest is not here.
    Unknown,
}

impl Images {
    /// All manifests of an image in the order of its index; one when it has no index.
    pub fn manifests(&self, image: &Image) -> Vec<ManifestInfo> {
        let content = self.content();
        let mut found = Vec::new();
        let mut todo = vec![(image.target.clone(), 0)];
        while let Some((descriptor, depth)) = todo.pop() {
            if depth > 0 && !media::is_index(&descriptor.media_type) {
                found.push(self.manifest_info(image, descriptor));
                continue;
            }
            match read_target(content, &descriptor) {
                Ok(Target::Index(index)) if depth < content.limits().index_depth => {
                    todo.extend(index.manifests.into_iter().rev().map(|one| (one, depth + 1)));
                }
                Ok(Target::Manifest(_)) => found.push(self.manifest_info(image, descriptor)),
                // What cannot be read offers nothing.
                _ => {}
            }
        }
        found
    }

    fn manifest_info(&self, image: &Image, descriptor: Descriptor) -> ManifestInfo {
        let content = self.content();
        let here = !image.left_out.contains(&descriptor.digest);
        let parts = if here { blobs(content, &descriptor, &image.left_out) } else { HashSet::new() };
        let content_size = parts.iter().filter_map(|blob| content.size(blob)).sum();
        ManifestInfo { kind: kind(image, &descriptor), descriptor, content_size }
    }
}

fn kind(image: &Image, descriptor: &Descriptor) -> ManifestKind {
    if is_attestation(descriptor) {
        return subject(descriptor)
            .map_or(ManifestKind::Unknown, |about| ManifestKind::Attestation { about });
    }
    let own = (image.manifest.digest == descriptor.digest).then(|| image.variant());
    let other = || image.others.iter().find(|one| one.manifest.digest == descriptor.digest).cloned();
    match (own.or_else(other), &descriptor.platform) {
        (Some(variant), _) => {
            ManifestKind::Image { platform: variant.platform().clone(), variant: Some(Box::new(variant)) }
        }
        (None, Some(platform)) => ManifestKind::Image { platform: platform.clone(), variant: None },
        (None, None) => ManifestKind::Unknown,
    }
}
