//! What is stored of an image, and how it becomes an [`Image`] with the help of its documents.

use std::collections::HashSet;

use model::Timestamp;
use oci::image::{Descriptor, ImageConfig, Index, Manifest, media};
use oci::{Digest, Platform};
use serde::{Deserialize, Serialize};
use store::Table;

use crate::content::Content;
use crate::error::Result;
use crate::{Image, ImageError, Layer};

/// Images by id.
pub(crate) const IMAGES: Table<Record> = Table::new("image");
/// Ids by canonical name.
pub(crate) const NAMES: Table<Digest> = Table::new("image-name");

/// A stored image; everything else is in its documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) target: Descriptor,
    #[serde(default)]
    pub(crate) parent: Option<Digest>,
    #[serde(default)]
    pub(crate) last_tagged: Option<Timestamp>,
    #[serde(default)]
    pub(crate) last_used: Option<Timestamp>,
    /// When it came into this store.
    #[serde(default)]
    pub(crate) added: Option<Timestamp>,
}

/// A document that is either a manifest or an index, by its own words and not only by its descriptor's.
pub(crate) enum Target {
    Manifest(Box<Manifest>),
    Index(Index),
}

impl Record {
    /// Of an image that nothing is known of but its documents.
    pub(crate) fn new(target: Descriptor, parent: Option<Digest>) -> Self {
        Self { target, parent, last_tagged: None, last_used: None, added: None }
    }

    /// What is stored of an image.
    pub(crate) fn of(image: &Image) -> Self {
        Self {
            target: image.target.clone(),
            parent: image.parent.clone(),
            last_tagged: image.last_tagged,
            last_used: image.last_used,
            added: image.added,
        }
    }

    /// Reads the documents. Names are filled in by the caller.
    pub(crate) fn image(&self, content: &Content, platform: &Platform) -> Result<Image> {
        let (descriptor, manifest) = find_manifest(content, &self.target, platform)?;
        let config: ImageConfig = content.document(&manifest.config.digest)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(ImageError::Inconsistent {
                what: format!("image {}", self.target.digest),
                reason: "the configuration has another number of layers than the manifest",
            });
        }
        let layers: Vec<Layer> = config
            .rootfs
            .diff_ids
            .iter()
            .zip(&manifest.layers)
            .map(|(diff_id, blob)| Layer { diff_id: diff_id.clone(), blob: blob.clone() })
            .collect();
        let content_size = blobs(content, &self.target).iter().filter_map(|blob| content.size(blob)).sum();
        Ok(Image {
            id: self.target.digest.clone(),
            target: self.target.clone(),
            manifest: descriptor,
            config_digest: manifest.config.digest,
            config,
            layers,
            names: Vec::new(),
            parent: self.parent.clone(),
            last_tagged: self.last_tagged,
            last_used: self.last_used,
            added: self.added,
            content_size,
        })
    }
}

/// Reads a document; one that has the members of both kinds is refused, since two readers could understand it
/// differently.
pub(crate) fn read_target(content: &Content, descriptor: &Descriptor) -> Result<Target> {
    let bytes = content.read(&descriptor.digest)?;
    let what = || format!("document {}", descriptor.digest);
    let malformed = |source| ImageError::Document { what: what(), source };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(malformed)?;
    let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    let is_index = has("manifests");
    if is_index && (has("config") || has("layers")) {
        return Err(ImageError::Inconsistent { what: what(), reason: "both a manifest and an index" });
    }
    let said = value.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or(&descriptor.media_type);
    let fits = if is_index { !media::is_manifest(said) } else { !media::is_index(said) };
    if !fits {
        return Err(ImageError::Inconsistent {
            what: what(),
            reason: "its media type is that of another document",
        });
    }
    if is_index {
        let index: Index = serde_json::from_value(value).map_err(malformed)?;
        let limit = content.limits().manifests;
        if index.manifests.len() > limit {
            return Err(ImageError::TooMany { what: format!("manifests of {}", what()), limit });
        }
        return Ok(Target::Index(index));
    }
    serde_json::from_value(value).map(|manifest| Target::Manifest(Box::new(manifest))).map_err(malformed)
}

/// Whether all that a manifest refers to is part of a Linux image whose bytes everybody may have.
pub(crate) fn check_media_types(content: &Content, manifest: &Descriptor) -> Result<()> {
    let Target::Manifest(document) = read_target(content, manifest)? else { return Ok(()) };
    let is_ours = |kind: &str| {
        media::is_layer(kind) && !kind.contains(".foreign.") && !kind.contains(".nondistributable.")
    };
    let config = &document.config.media_type;
    let wrong_config = !config.is_empty() && !media::is_config(config);
    let layers = document.layers.iter().map(|layer| &layer.media_type);
    let wrong = wrong_config
        .then_some(config)
        .or_else(|| layers.into_iter().find(|kind| !kind.is_empty() && !is_ours(kind)));
    match wrong {
        Some(kind) => Err(ImageError::MediaType {
            what: format!("manifest {}", manifest.digest),
            media_type: kind.clone(),
        }),
        None => Ok(()),
    }
}

/// The manifest for a platform behind a descriptor.
fn find_manifest(
    content: &Content,
    target: &Descriptor,
    platform: &Platform,
) -> Result<(Descriptor, Manifest)> {
    let mut todo = vec![(target.clone(), 0)];
    while let Some((descriptor, depth)) = todo.pop() {
        match read_target(content, &descriptor)? {
            Target::Manifest(manifest) => return Ok((descriptor, *manifest)),
            Target::Index(index) if depth < content.limits().index_depth => {
                // The first fitting one wins; the stack is read from its end.
                let fitting = index.manifests.into_iter().filter(|manifest| {
                    let offered = manifest.platform.clone().unwrap_or_default();
                    let fits = manifest.platform.is_none() || platform.accepts(&offered);
                    fits && !is_attestation(manifest) && content.size(&manifest.digest).is_some()
                });
                let mut fitting: Vec<_> = fitting.map(|manifest| (manifest, depth + 1)).collect();
                fitting.reverse();
                todo.extend(fitting);
            }
            Target::Index(_) => {}
        }
    }
    Err(ImageError::Platform { id: target.digest.clone(), platform: platform.text() })
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// All blobs an image is made of, as far as they are there: documents of every platform, and layers.
pub(crate) fn blobs(content: &Content, target: &Descriptor) -> HashSet<Digest> {
    let mut found = HashSet::new();
    let mut todo = vec![(target.clone(), 0)];
    while let Some((descriptor, depth)) = todo.pop() {
        if !found.insert(descriptor.digest.clone()) || depth > content.limits().index_depth {
            continue;
        }
        match read_target(content, &descriptor) {
            Ok(Target::Manifest(manifest)) => {
                found.insert(manifest.config.digest);
                found.extend(manifest.layers.into_iter().map(|layer| layer.digest));
            }
            Ok(Target::Index(index)) => {
                todo.extend(index.manifests.into_iter().map(|manifest| (manifest, depth + 1)));
            }
            // A manifest of another platform that never came along.
            Err(_) => {}
        }
    }
    found
}
