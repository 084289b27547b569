//! An image as others see it.

use model::Timestamp;
use oci::image::{Descriptor, ImageConfig};
use oci::{Digest, Reference};

/// One image of this machine's platform, with its names.
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

    /// Diff ids of the layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.config.rootfs.diff_ids
    }
}
