//! Images of an OCI layout's `index.json`.

use std::collections::BTreeMap;

use oci::Reference;
use oci::image::{ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME, Descriptor, Index, media};

use crate::error::Result;
use crate::load::{Candidate, Contents};
use crate::record::{Target, read_target};
use crate::{ImageError, Images};

pub(crate) fn candidates(images: &Images, contents: &Contents) -> Result<Vec<Candidate>> {
    let Some(index) = contents.document::<Index>(images, "index.json")? else { return Ok(Vec::new()) };
    let mut found: Vec<Candidate> = Vec::new();
    for descriptor in index.manifests {
        if descriptor.annotations.contains_key("vnd.docker.reference.type") {
            continue;
        }
        let names = names(&descriptor.annotations);
        if let Some(known) = found.iter_mut().find(|known| known.target.digest == descriptor.digest) {
            known.names.extend(names);
            continue;
        }
        found.push(Candidate { target: target(images, descriptor)?, names, parent: None });
    }
    Ok(found)
}

/// The descriptor as it will be kept: without what the layout said about it, with the size the bytes have.
fn target(images: &Images, descriptor: Descriptor) -> Result<Descriptor> {
    let size = images.content().size(&descriptor.digest);
    let size = size.ok_or_else(|| ImageError::MissingBlob { digest: descriptor.digest.clone() })?;
    let media_type = if descriptor.media_type.is_empty() {
        match read_target(images.content(), &descriptor)? {
            Target::Manifest(_) => media::OCI_MANIFEST.to_owned(),
            Target::Index(_) => media::OCI_INDEX.to_owned(),
        }
    } else {
        descriptor.media_type
    };
    Ok(Descriptor::new(&media_type, descriptor.digest, size))
}

/// Engines write the full name; other programs only a tag, or a full name in the tag's place.
fn names(annotations: &BTreeMap<String, String>) -> Vec<Reference> {
    let full = annotations.get(ANNOTATION_IMAGE_NAME);
    let name = full.or_else(|| annotations.get(ANNOTATION_REF_NAME).filter(|name| name.contains([':', '/'])));
    let name = name.and_then(|name| name.parse::<Reference>().ok()).map(Reference::or_latest);
    name.filter(|name| name.digest().is_none()).into_iter().collect()
}
