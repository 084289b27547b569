//! What the index of an image offers, and what of it is here.

use std::collections::HashSet;

use oci::image::Descriptor;
use oci::{Digest, Platform};

use crate::record::{blobs, is_attestation, listed, subject};
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
        // What cannot be read offers nothing.
        let listed = listed(self.content(), &image.target).unwrap_or_default();
        listed.into_iter().map(|one| self.manifest_info(image, one)).collect()
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
