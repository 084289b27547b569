//! Writes images as one archive that is both an OCI layout and Docker's `manifest.json` form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use archive::{Entry, FileSink, Writer};
use oci::image::{ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME, Descriptor, Index, layout, media};
use oci::{Digest, Platform, Reference};
use serde::Serialize;
use serde_json::json;

use crate::error::Result;
use crate::find::Found;
use crate::record::{blobs, without};
use crate::{Content, Image, ImageError, Images, Lease};

/// Images that are going to be written as one archive; nothing of them is removed meanwhile.
pub struct Selection {
    lease: Lease,
    selected: Vec<Selected>,
}

/// An image and the names it is saved under.
struct Selected {
    image: Arc<Image>,
    names: Vec<Reference>,
    /// What the archive's index names.
    target: Descriptor,
    /// Manifests that stay here.
    left_out: BTreeSet<Digest>,
}

impl Selection {
    /// Ids of the images.
    pub fn ids(&self) -> impl Iterator<Item = &Digest> {
        self.selected.iter().map(|one| &one.image.id)
    }

    /// Writes the archive. The same images always give the same bytes.
    pub fn write_to(&self, out: &mut dyn FileSink) -> Result<()> {
        let selected = &self.selected;
        let mut writer = Writer::new(out);
        let content = self.lease.images().content();
        let digests = selected.iter().flat_map(|one| blobs(content, &one.target, &one.left_out)).collect();
        write_blobs(content, &mut writer, &digests)?;
        write_document(&mut writer, "index.json", &index(selected))?;
        write_document(&mut writer, "manifest.json", &manifests(selected))?;
        write_layout_version(&mut writer)?;
        let repositories = repositories(selected);
        if !repositories.is_empty() {
            write_document(&mut writer, "repositories", &repositories)?;
        }
        writer.finish()?;
        Ok(())
    }
}

impl Images {
    /// Chooses images to save by names or ids, on all platforms that are here or only on some. A name without a tag means
    /// all its tags; an id brings no name along.
    pub fn select(&self, texts: &[String], platforms: &[Platform]) -> Result<Selection> {
        let lease = self.lease();
        let mut selected: Vec<Selected> = Vec::new();
        for text in texts {
            for (image, name) in self.matches(text)? {
                let position = selected.iter().position(|known| known.image.id == image.id);
                match position.and_then(|position| selected.get_mut(position)) {
                    Some(known) => known.names.extend(name.filter(|name| !known.names.contains(name))),
                    None => selected.push(self.selected(image, name, text, platforms)?),
                }
            }
        }
        Ok(Selection { lease, selected })
    }

    /// One platform is saved as if there were no others; of several the index stays.
    fn selected(
        &self,
        image: Arc<Image>,
        name: Option<Reference>,
        text: &str,
        platforms: &[Platform],
    ) -> Result<Selected> {
        let lacking = |wanted: &Platform| ImageError::NoExport {
            name: name.as_ref().map_or_else(|| text.to_owned(), Reference::familiar),
            platform: wanted.text(),
        };
        let (target, left_out) = (image.target.clone(), image.left_out.clone());
        let names: Vec<Reference> = name.iter().cloned().collect();
        match platforms {
            [] => Ok(Selected { image, names, target, left_out }),
            [one] => {
                let found = image.on(one).ok_or_else(|| lacking(one))?;
                let target = found.manifest.clone();
                Ok(Selected { image: Arc::new(found), names, target, left_out })
            }
            [first, ..] => {
                let found = platforms.iter().find_map(|one| image.on(one)).ok_or_else(|| lacking(first))?;
                let own = platforms.iter().any(|one| one.accepts(image.platform()));
                let shown = if own { image } else { Arc::new(found) };
                let left_out = without(self.content(), &target, &shown, platforms)?;
                Ok(Selected { image: shown, names, target, left_out })
            }
        }
    }

    fn matches(&self, text: &str) -> Result<Vec<(Arc<Image>, Option<Reference>)>> {
        if let Ok(reference) = text.parse::<Reference>()
            && reference.is_name_only()
        {
            let tagged = self.read(|state| {
                let fits = |name: &Reference| name.digest().is_none() && name.name() == reference.name();
                let names = state.names.iter().filter(|(name, _)| fits(name));
                let images =
                    names.filter_map(|(name, id)| Some((state.images.get(id)?.clone(), Some(name.clone()))));
                images.collect::<Vec<_>>()
            });
            if !tagged.is_empty() {
                return Ok(tagged);
            }
        }
        let found = self.look_up(text).map_err(|error| match error {
            // Here Docker names the image as it was typed.
            ImageError::NotFound { .. } => ImageError::NotFound { name: text.to_owned() },
            error => error,
        })?;
        Ok(match found {
            Found::Name(name, image) => vec![(image, Some(name).filter(|name| name.digest().is_none()))],
            Found::Id(image) => vec![(image, None)],
        })
    }
}

pub(crate) fn write_blobs(
    content: &Content,
    writer: &mut Writer<&mut dyn FileSink>,
    digests: &BTreeSet<Digest>,
) -> Result<()> {
    writer.append_empty(&Entry::directory("blobs", 0o755))?;
    let mut algorithm = None;
    for digest in digests {
        let Some(size) = content.size(digest) else { continue };
        if algorithm != Some(digest.algorithm()) {
            algorithm = Some(digest.algorithm());
            let name = format!("blobs/{}", digest.algorithm().name());
            writer.append_empty(&Entry::directory(name, 0o755))?;
        }
        let blob = content.open_blob(digest)?;
        writer.append_file(&Entry::file(digest.blob_path(), 0o644, size), &blob)?;
    }
    Ok(())
}

fn index(selected: &[Selected]) -> Index {
    let mut manifests = Vec::new();
    for Selected { target, names, .. } in selected {
        let mut descriptor = Descriptor::new(&target.media_type, target.digest.clone(), target.size);
        descriptor.platform.clone_from(&target.platform);
        if names.is_empty() {
            manifests.push(descriptor.clone());
        }
        for name in names {
            descriptor.annotations = BTreeMap::from([
                (ANNOTATION_IMAGE_NAME.to_owned(), name.canonical()),
                (ANNOTATION_REF_NAME.to_owned(), name.tag().unwrap_or_default().to_owned()),
            ]);
            manifests.push(descriptor.clone());
        }
    }
    Index {
        schema_version: 2,
        media_type: Some(media::OCI_INDEX.to_owned()),
        manifests,
        annotations: BTreeMap::new(),
    }
}

fn manifests(selected: &[Selected]) -> serde_json::Value {
    let entry = |selected: &Selected| {
        let names: Vec<String> = selected.names.iter().map(Reference::familiar).collect();
        let layers: Vec<String> =
            selected.image.layers.iter().map(|layer| layer.blob.digest.blob_path()).collect();
        let sources: BTreeMap<&str, serde_json::Value> = selected
            .image
            .layers
            .iter()
            .map(|layer| {
                let blob = &layer.blob;
                let source =
                    json!({ "mediaType": blob.media_type, "size": blob.size, "digest": blob.digest });
                (layer.diff_id.as_str(), source)
            })
            .collect();
        json!({
            "Config": selected.image.config_digest.blob_path(),
            "RepoTags": if names.is_empty() { None } else { Some(names) },
            "Layers": layers,
            "LayerSources": sources,
        })
    };
    selected.iter().map(entry).collect()
}

/// The oldest form: the topmost layer by repository and tag.
fn repositories(selected: &[Selected]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for Selected { image, names, .. } in selected {
        let Some(top) = image.layers.last() else { continue };
        for name in names {
            let tag = name.tag().unwrap_or_default().to_owned();
            repositories.entry(name.familiar_name()).or_default().insert(tag, top.diff_id.hex().to_owned());
        }
    }
    repositories
}

/// Says that the archive is an image layout.
pub(crate) fn write_layout_version(writer: &mut Writer<&mut dyn FileSink>) -> Result<()> {
    Ok(writer.append_bytes(&Entry::file(layout::FILE, 0o644, 0), layout::DOCUMENT.as_bytes())?)
}

pub(crate) fn write_document(
    writer: &mut Writer<&mut dyn FileSink>,
    name: &str,
    document: &impl Serialize,
) -> Result<()> {
    let bytes = serde_json::to_vec(document)
        .map_err(|source| ImageError::Document { what: name.to_owned(), source })?;
    Ok(writer.append_bytes(&Entry::file(name, 0o644, 0), &bytes)?)
}
