//! One document with everything it leads to: as an OCI layout, as Docker's archive, or blob by blob.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use archive::{FileSink, Writer};
use oci::image::{ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME, Descriptor, Index, media};
use oci::{Digest, Reference};
use serde_json::json;

use crate::error::Result;
use crate::record::{Target, blobs, read_target};
use crate::save::{write_blobs, write_document, write_layout_version};
use crate::{ImageError, Images, Lease};

/// Content of the store that leaves it together; nothing of it is collected meanwhile.
pub struct Layout {
    lease: Lease,
    target: Descriptor,
    names: Vec<Reference>,
}

impl Images {
    /// Everything a document leads to, to be called by these names.
    pub fn layout(&self, target: Descriptor, names: Vec<Reference>) -> Layout {
        Layout { lease: self.lease(), target, names }
    }
}

impl Layout {
    /// The document.
    pub fn target(&self) -> &Descriptor {
        &self.target
    }

    /// What there is: blobs before the documents that name them, each once.
    ///
    /// # Errors
    /// When something is not here.
    pub fn parts(&self) -> Result<Vec<Descriptor>> {
        let mut parts = Vec::new();
        self.gather(&self.target, 0, &mut HashSet::new(), &mut parts)?;
        Ok(parts)
    }

    fn gather(
        &self,
        descriptor: &Descriptor,
        depth: usize,
        seen: &mut HashSet<Digest>,
        parts: &mut Vec<Descriptor>,
    ) -> Result<()> {
        let content = self.lease.images().content();
        if depth > content.limits().index_depth || !seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        match read_target(content, descriptor)? {
            Target::Index(index) => {
                index.manifests.iter().try_for_each(|one| self.gather(one, depth + 1, seen, parts))?;
            }
            Target::Manifest(manifest) => {
                let new = std::iter::once(manifest.config).chain(manifest.layers);
                for blob in new.filter(|blob| seen.insert(blob.digest.clone())) {
                    if content.size(&blob.digest).is_none() {
                        return Err(ImageError::MissingBlob { digest: blob.digest });
                    }
                    parts.push(blob);
                }
            }
        }
        parts.push(descriptor.clone());
        Ok(())
    }

    /// Writes an OCI layout as a tar; the same content always gives the same bytes. With `docker` it is what `load` of older
    /// engines reads, too.
    ///
    /// # Errors
    /// When `docker` is wanted of an index, something is not here, or whoever takes the archive takes no more.
    pub fn write_to(&self, docker: bool, out: &mut dyn FileSink) -> Result<()> {
        let content = self.lease.images().content();
        let manifest = if docker { Some(self.docker_manifest()?) } else { None };
        let digests: BTreeSet<Digest> = blobs(content, &self.target, &BTreeSet::new()).into_iter().collect();
        let mut writer = Writer::new(out);
        write_blobs(content, &mut writer, &digests)?;
        write_document(&mut writer, "index.json", &self.index())?;
        if let Some(manifest) = manifest {
            write_document(&mut writer, "manifest.json", &manifest)?;
        }
        write_layout_version(&mut writer)?;
        writer.finish()?;
        Ok(())
    }

    fn index(&self) -> Index {
        let named = |name: &Reference| {
            let mut descriptor = self.target.clone();
            let said = [
                (ANNOTATION_IMAGE_NAME, name.canonical()),
                (ANNOTATION_REF_NAME, name.tag().unwrap_or_default().to_owned()),
            ];
            descriptor.annotations.extend(said.map(|(key, value)| (key.to_owned(), value)));
            descriptor
        };
        let manifests = match self.names.as_slice() {
            [] => vec![self.target.clone()],
            names => names.iter().map(named).collect(),
        };
        Index {
            schema_version: 2,
            media_type: Some(media::OCI_INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        }
    }

    fn docker_manifest(&self) -> Result<serde_json::Value> {
        let Target::Manifest(manifest) = read_target(self.lease.images().content(), &self.target)? else {
            return Err(ImageError::Inconsistent {
                what: format!("document {}", self.target.digest),
                reason: "an index cannot be in an archive of Docker's",
            });
        };
        let names: Vec<String> = self.names.iter().map(Reference::familiar).collect();
        let layers: Vec<String> = manifest.layers.iter().map(|layer| layer.digest.blob_path()).collect();
        Ok(json!([{
            "Config": manifest.config.digest.blob_path(),
            "RepoTags": if names.is_empty() { None } else { Some(names) },
            "Layers": layers,
        }]))
    }
}
