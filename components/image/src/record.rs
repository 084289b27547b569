//! What is stored of an image, and how it becomes an [`Image`] with the help of its documents.

use std::collections::{BTreeSet, HashSet};

use model::Timestamp;
use oci::image::{Descriptor, ImageConfig, Index, Manifest, media};
use oci::{Digest, Platform};
use serde::{Deserialize, Serialize};
use store::Table;

use crate::content::Content;
use crate::error::Result;
use crate::{Image, ImageError, Layer, Variant};

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
    /// Manifests of the index whose parts do not belong to the image here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) left_out: BTreeSet<Digest>,
    /// The manifest that was pulled last: what the image is when no platform is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<Digest>,
}

/// A document that is either a manifest or an index, by its own words and not only by its descriptor's.
pub(crate) enum Target {
    Manifest(Box<Manifest>),
    Index(Index),
}

impl Record {
    /// Of an image that nothing is known of but its documents.
    pub(crate) fn new(target: Descriptor, parent: Option<Digest>) -> Self {
        Self {
            target,
            parent,
            last_tagged: None,
            last_used: None,
            added: None,
            left_out: BTreeSet::new(),
            shown: None,
        }
    }

    /// What is stored of an image.
    pub(crate) fn of(image: &Image) -> Self {
        Self {
            target: image.target.clone(),
            parent: image.parent.clone(),
            last_tagged: image.last_tagged,
            last_used: image.last_used,
            added: image.added,
            left_out: image.left_out.clone(),
            shown: image.shown.clone(),
        }
    }

    /// Whether an image with this record would stay as it is if it came once more with another.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.target == other.target
            && self.left_out.is_subset(&other.left_out)
            && (other.parent.is_none() || self.parent == other.parent)
            && (other.shown.is_none() || self.shown == other.shown)
    }

    /// Reads the documents: the image, whose names are filled in by the caller, and all blobs it is made of.
    pub(crate) fn read(&self, content: &Content, platform: &Platform) -> Result<(Image, HashSet<Digest>)> {
        let (first, others) = self.variants(content, platform)?;
        let blobs = blobs(content, &self.target, &self.left_out);
        let content_size = blobs.iter().filter_map(|blob| content.size(blob)).sum();
        let image = Image {
            id: self.target.digest.clone(),
            target: self.target.clone(),
            manifest: first.manifest,
            config_digest: first.config_digest,
            config: first.config,
            layers: first.layers,
            others,
            left_out: self.left_out.clone(),
            shown: self.shown.clone(),
            names: Vec::new(),
            parent: self.parent.clone(),
            last_tagged: self.last_tagged,
            last_used: self.last_used,
            added: self.added,
            content_size,
        };
        Ok((image, blobs))
    }

    /// What there is of each platform: the one that is shown, else the one for this machine, else the first one that is
    /// whole, and the others that are whole.
    fn variants(&self, content: &Content, platform: &Platform) -> Result<(Variant, Vec<Variant>)> {
        let (mut chosen, mut failure) = (None, None);
        let mut whole = Vec::new();
        for manifest in self.manifests(content, platform)? {
            let fits = fits(&manifest, platform);
            match Variant::read(content, manifest, &self.target.digest) {
                // What is wrong with the one for this machine is not hidden by another one.
                Err(error) if fits && !matches!(error, ImageError::MissingBlob { .. }) => return Err(error),
                Err(error) => drop(failure.get_or_insert(error)),
                Ok(found) if found.is_whole(content) => whole.push(found),
                Ok(found) => drop(chosen.get_or_insert(found)),
            }
        }
        if !whole.is_empty() {
            return Ok((whole.remove(0), whole));
        }
        let missing = || ImageError::Platform { id: self.target.digest.clone(), platform: platform.text() };
        chosen.map(|found| (found, whole)).ok_or_else(|| failure.unwrap_or_else(missing))
    }

    /// The manifests that are here and belong to the image: the one that is shown, those for a platform, others.
    fn manifests(&self, content: &Content, platform: &Platform) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        let mut todo = vec![(self.target.clone(), 0)];
        while let Some((descriptor, depth)) = todo.pop() {
            let target = match read_target(content, &descriptor) {
                Ok(target) => target,
                // An index within the index: it is only of interest when nothing else is there.
                Err(_) if depth > 0 && !fits(&descriptor, platform) => continue,
                Err(error) => return Err(error),
            };
            match target {
                Target::Manifest(_) => found.push(descriptor),
                Target::Index(index) if depth < content.limits().index_depth => {
                    let here = index.manifests.into_iter().filter(|manifest| {
                        !is_attestation(manifest)
                            && !self.left_out.contains(&manifest.digest)
                            && content.size(&manifest.digest).is_some()
                    });
                    // The first one wins; the stack is read from its end.
                    todo.extend(
                        here.map(|manifest| (manifest, depth + 1)).collect::<Vec<_>>().into_iter().rev(),
                    );
                }
                Target::Index(_) => {}
            }
        }
        found.sort_by_key(|manifest| {
            (self.shown.as_ref() != Some(&manifest.digest), !fits(manifest, platform))
        });
        Ok(found)
    }
}

impl Variant {
    fn read(content: &Content, descriptor: Descriptor, image: &Digest) -> Result<Self> {
        let Target::Manifest(manifest) = read_target(content, &descriptor)? else {
            return Err(ImageError::MissingBlob { digest: descriptor.digest });
        };
        let config: ImageConfig = content.document(&manifest.config.digest)?;
        check_media_types(&manifest, &descriptor.digest)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(ImageError::Inconsistent {
                what: format!("image {image}"),
                reason: "the configuration has another number of layers than the manifest",
            });
        }
        let layers = config.rootfs.diff_ids.iter().zip(manifest.layers);
        let layers = layers.map(|(diff_id, blob)| Layer { diff_id: diff_id.clone(), blob }).collect();
        Ok(Self { manifest: descriptor, config_digest: manifest.config.digest, config, layers })
    }

    fn is_whole(&self, content: &Content) -> bool {
        self.layers.len() <= content.limits().layers
            && self.layers.iter().all(|layer| content.size(&layer.blob.digest) == Some(layer.blob.size))
    }
}

/// The manifests an image does without when only some platforms of it are wanted, with what is said about them.
pub(crate) fn without(
    content: &Content,
    target: &Descriptor,
    image: &Image,
    platforms: &[Platform],
) -> Result<BTreeSet<Digest>> {
    let variants = std::iter::once(image.variant()).chain(image.others.iter().cloned());
    let wanted = |one: &Variant| platforms.iter().any(|platform| platform.accepts(one.platform()));
    let kept: HashSet<Digest> = variants.filter(wanted).map(|one| one.manifest.digest).collect();
    let about = |one: &Descriptor| subject(one).unwrap_or_else(|| one.digest.clone());
    let others = listed(content, target)?.into_iter().filter(|one| one.digest != target.digest);
    Ok(others.filter(|one| !kept.contains(&about(one))).map(|one| one.digest).collect())
}

/// All manifests an index lists, in its order, those of indexes within it too, here or not; a manifest itself.
pub(crate) fn listed(content: &Content, target: &Descriptor) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    let mut todo = vec![(target.clone(), 0)];
    while let Some((descriptor, depth)) = todo.pop() {
        if depth > 0 && !media::is_index(&descriptor.media_type) {
            found.push(descriptor);
            continue;
        }
        match read_target(content, &descriptor) {
            Ok(Target::Index(index)) if depth < content.limits().index_depth => {
                todo.extend(index.manifests.into_iter().rev().map(|one| (one, depth + 1)));
            }
            Ok(Target::Manifest(_)) => found.push(descriptor),
            Err(error) if depth == 0 => return Err(error),
            // What cannot be read, or is too deep, lists nothing.
            _ => {}
        }
    }
    Ok(found)
}

/// Manifests, and the attestations about them that an index has.
pub(crate) fn with_attestations(
    content: &Content,
    target: &Descriptor,
    manifests: &BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>> {
    let mut all = manifests.clone();
    if let Target::Index(index) = read_target(content, target)? {
        let about = |one: &Descriptor| subject(one).is_some_and(|subject| manifests.contains(&subject));
        all.extend(index.manifests.into_iter().filter(about).map(|one| one.digest));
    }
    Ok(all)
}

/// What an attestation is about.
pub(crate) fn subject(descriptor: &Descriptor) -> Option<Digest> {
    descriptor.annotations.get("vnd.docker.reference.digest").and_then(|text| text.parse().ok())
}

fn fits(manifest: &Descriptor, platform: &Platform) -> bool {
    manifest.platform.as_ref().is_none_or(|offered| platform.accepts(offered))
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
fn check_media_types(document: &Manifest, digest: &Digest) -> Result<()> {
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
        Some(kind) => {
            Err(ImageError::MediaType { what: format!("manifest {digest}"), media_type: kind.clone() })
        }
        None => Ok(()),
    }
}

pub(crate) fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// All blobs a document leads to, without those of some manifests.
pub(crate) fn blobs(content: &Content, target: &Descriptor, left_out: &BTreeSet<Digest>) -> HashSet<Digest> {
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
                let kept = index.manifests.into_iter().filter(|one| !left_out.contains(&one.digest));
                todo.extend(kept.map(|manifest| (manifest, depth + 1)));
            }
            // A manifest of another platform that never came along.
            Err(_) => {}
        }
    }
    found
}
