//! Images of Docker's `manifest.json`.

use std::collections::HashMap;

use oci::image::{Descriptor, ImageConfig, media};
use oci::{Digest, Reference};
use serde::Deserialize;

use crate::error::Result;
use crate::load::{Candidate, Contents};
use crate::record::{Target, read_target};
use crate::{ImageError, Images};

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<String>,
}

/// Adds the names `manifest.json` gives to images of the layout, and the images the layout does not have.
pub(crate) fn complete(images: &Images, contents: &Contents, candidates: &mut Vec<Candidate>) -> Result<()> {
    let Some(entries) = contents.document::<Vec<Entry>>(images, "manifest.json")? else { return Ok(()) };
    let mut by_config = configs(images, candidates);
    for entry in entries {
        let config = contents.blob(&entry.config).ok_or_else(|| ImageError::Inconsistent {
            what: "manifest.json".to_owned(),
            reason: "a configuration it names is not in the archive",
        })?;
        let names = names(entry.repo_tags.as_deref().unwrap_or_default())?;
        let position = match by_config.get(&config.0) {
            Some(position) => *position,
            None => {
                let target = manifest(images, contents, &entry, config)?;
                by_config.insert(config.0.clone(), candidates.len());
                let parent = entry.parent.as_deref().and_then(|parent| parent.parse().ok());
                let parent = parent.filter(|parent| images.get(parent).is_some());
                candidates.push(Candidate { target, names: Vec::new(), parent });
                candidates.len() - 1
            }
        };
        if let Some(candidate) = candidates.get_mut(position) {
            let new = names.into_iter().filter(|name| !candidate.names.contains(name)).collect::<Vec<_>>();
            candidate.names.extend(new);
        }
    }
    Ok(())
}

/// The candidates by the digest of their configuration; an index has several.
fn configs(images: &Images, candidates: &[Candidate]) -> HashMap<Digest, usize> {
    let mut found = HashMap::new();
    for (position, candidate) in candidates.iter().enumerate() {
        let mut todo = vec![candidate.target.clone()];
        // Two levels are enough for every index there is.
        for _ in 0..2 {
            for descriptor in std::mem::take(&mut todo) {
                match read_target(images.content(), &descriptor) {
                    Ok(Target::Manifest(manifest)) => {
                        found.entry(manifest.config.digest).or_insert(position);
                    }
                    Ok(Target::Index(index)) => todo.extend(index.manifests),
                    Err(_) => {}
                }
            }
        }
    }
    found
}

fn names(tags: &[String]) -> Result<Vec<Reference>> {
    let mut names = Vec::new();
    for tag in tags {
        let name: Reference = tag.parse()?;
        if name.tag().is_some() && name.digest().is_none() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Writes a manifest for an image that came without one. The same archive always gets the same one.
fn manifest(
    images: &Images,
    contents: &Contents,
    entry: &Entry,
    (config, size): &(Digest, u64),
) -> Result<Descriptor> {
    let document: ImageConfig = images.content().document(config)?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    if document.rootfs.diff_ids.len() != paths.len() {
        return Err(ImageError::Inconsistent {
            what: "manifest.json".to_owned(),
            reason: "an image has another number of layers than its configuration says",
        });
    }
    let mut layers = Vec::new();
    for path in paths {
        let (digest, size) = contents.blob(path).ok_or_else(|| ImageError::Inconsistent {
            what: "manifest.json".to_owned(),
            reason: "a layer it names is not in the archive",
        })?;
        layers.push(Descriptor::new(layer_type(images, digest)?, digest.clone(), *size));
    }
    images.put_manifest_of(Descriptor::new(media::OCI_CONFIG, config.clone(), *size), None, layers)
}

fn layer_type(images: &Images, digest: &Digest) -> Result<&'static str> {
    use std::io::Read;
    let mut start = Vec::new();
    let path = images.content().path(digest);
    let blob = images.content().open_blob(digest)?;
    blob.take(6).read_to_end(&mut start).map_err(crate::error::file_error("read", &path))?;
    Ok(match archive::Compression::detect(&start) {
        archive::Compression::Gzip => media::OCI_LAYER_GZIP,
        archive::Compression::Zstd => media::OCI_LAYER_ZSTD,
        _ => media::OCI_LAYER,
    })
}
