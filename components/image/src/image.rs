//! An image as others see it.

use std::collections::BTreeSet;

use model::Timestamp;
use oci::image::{Descriptor, ImageConfig};
use oci::{Digest, Platform, Reference};

/// One image with its names, as it is on one platform: the one that was pulled last, else this machine's if it is here, unless
/// another one was asked for.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of `target`.
    pub id: Digest,
    /// What the names stand for: the manifest, or the index the image came in.
    pub target: Descriptor,
    /// The manifest of the platform in use.
    pub manifest: Descriptor,
    /// The configuration's digest (the image id of Docker's older store).
    pub config_digest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The other platforms whose parts are all here.
    pub others: Vec<Variant>,
    /// Manifests of the index whose parts do not belong to this image here: removed, or not taken along.
    pub left_out: BTreeSet<Digest>,
    /// The manifest that was pulled last.
    pub shown: Option<Digest>,
    /// Names with a tag, and names with a digest, sorted.
    pub names: Vec<Reference>,
    /// The image this one was committed from.
    pub parent: Option<Digest>,
    /// When a name was given to it last.
    pub last_tagged: Option<Timestamp>,
    /// When a container was made from it last, to the hour.
    pub last_used: Option<Timestamp>,
    /// When it came into this store.
    pub added: Option<Timestamp>,
    /// Bytes of all its blobs.
    pub content_size: u64,
}

/// What an image is on one platform.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its manifest.
    pub manifest: Descriptor,
    /// The configuration's digest.
    pub config_digest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob as it is kept.
    pub blob: Descriptor,
}

impl Image {
    /// `RepoTags`: names with tags as people write them.
    pub fn repo_tags(&self) -> Vec<String> {
        self.names.iter().filter(|name| name.digest().is_none()).map(Reference::familiar).collect()
    }

    /// `RepoDigests`: names with digests as people write them.
    pub fn repo_digests(&self) -> Vec<String> {
        self.names.iter().filter(|name| name.digest().is_some()).map(Reference::familiar).collect()
    }

    /// Whether it has no tag.
    pub fn is_dangling(&self) -> bool {
        self.names.iter().all(|name| name.digest().is_some())
    }

    /// What the index says of its platform, or its configuration when that says nothing.
    pub fn platform(&self) -> &Platform {
        platform_of(&self.manifest, &self.config)
    }

    /// The image as it is on a platform, one with exactly its variant before others; none when its parts for that are
    /// not here.
    pub fn on(&self, wanted: &Platform) -> Option<Self> {
        let exact = wanted.normalized();
        let fits = |platform: &Platform| wanted.accepts(platform);
        let same = |platform: &Platform| fits(platform) && platform.normalized().variant == exact.variant;
        self.first(same).or_else(|| self.first(fits))
    }

    /// The image with the layers of one of its platforms; the image as it is when they are of none.
    #[must_use]
    pub fn with_layers(&self, diff_ids: &[Digest]) -> Self {
        let other = self.others.iter().find(|other| other.config.rootfs.diff_ids == diff_ids);
        other
            .filter(|_| self.diff_ids() != diff_ids)
            .map_or_else(|| self.clone(), |other| self.turned_into(other))
    }

    /// The image with one of its manifests; the image as it is when it is of none.
    #[must_use]
    pub fn with_manifest(&self, digest: &Digest) -> Self {
        let other = self.others.iter().find(|other| other.manifest.digest == *digest);
        other.map_or_else(|| self.clone(), |other| self.turned_into(other))
    }

    /// Diff ids of each platform's layers, this one's first.
    pub fn all_diff_ids(&self) -> impl Iterator<Item = &[Digest]> {
        let others = self.others.iter().map(|other| other.config.rootfs.diff_ids.as_slice());
        std::iter::once(self.diff_ids()).chain(others)
    }

    /// The manifest of each platform that is here.
    pub fn all_manifests(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.manifest.digest).chain(self.others.iter().map(|other| &other.manifest.digest))
    }

    /// This platform's part of the image.
    pub fn variant(&self) -> Variant {
        Variant {
            manifest: self.manifest.clone(),
            config_digest: self.config_digest.clone(),
            config: self.config.clone(),
            layers: self.layers.clone(),
        }
    }

    fn first(&self, fits: impl Fn(&Platform) -> bool) -> Option<Self> {
        if fits(self.platform()) {
            return Some(self.clone());
        }
        self.others.iter().find(|other| fits(other.platform())).map(|other| self.turned_into(other))
    }

    fn turned_into(&self, other: &Variant) -> Self {
        let rest = self.others.iter().filter(|one| one.manifest.digest != other.manifest.digest).cloned();
        Self {
            others: std::iter::once(self.variant()).chain(rest).collect(),
            manifest: other.manifest.clone(),
            config_digest: other.config_digest.clone(),
            config: other.config.clone(),
            layers: other.layers.clone(),
            ..self.clone()
        }
    }

    /// Diff ids of the layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.config.rootfs.diff_ids
    }
}

impl Variant {
    /// What the index says of its platform, or its configuration when that says nothing.
    pub fn platform(&self) -> &Platform {
        platform_of(&self.manifest, &self.config)
    }
}

fn platform_of<'i>(manifest: &'i Descriptor, config: &'i ImageConfig) -> &'i Platform {
    manifest.platform.as_ref().filter(|said| !said.architecture.is_empty()).unwrap_or(&config.platform)
}
