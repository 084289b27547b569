//! What people look at: tags with sizes and layers.

use oci::digest::Digest;

use super::Registry;
use super::record::{self, LinkRecord, ManifestRecord};
use crate::RegistryError;
use crate::name::Repository;

/// A tag as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagView {
    /// Where it points.
    pub digest: Digest,
    /// Seconds since the epoch when it was set.
    pub since: i64,
    /// Configuration and layers, or the manifests of an index, with their bytes.
    pub parts: Vec<(Digest, u64)>,
}

impl Registry {
    /// How many tags a repository has.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn count_tags(&self, name: &Repository) -> Result<usize, RegistryError> {
        Ok(self.storage.keys(&record::tag_key(name.as_str(), ""))?.len())
    }

    /// What a tag holds.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn view_tag(&self, name: &Repository, tag: &str) -> Result<Option<TagView>, RegistryError> {
        let Some(found) = self.tag(name, tag)? else { return Ok(None) };
        let manifest = self.manifest_record(name, &found.digest)?;
        let mut parts = Vec::new();
        if let Some(manifest) = &manifest {
            for blob in &manifest.blobs {
                let link: Option<LinkRecord> =
                    record::read(&*self.storage, &record::link_key(name.as_str(), blob))?;
                parts.push((blob.clone(), link.map_or(0, |link| link.size)));
            }
            for child in &manifest.manifests {
                parts.push((child.clone(), self.whole_size(name, child)?));
            }
        }
        Ok(Some(TagView { digest: found.digest, since: found.since, parts }))
    }

    /// The bytes of everything that a manifest of an index names.
    fn whole_size(&self, name: &Repository, digest: &Digest) -> Result<u64, RegistryError> {
        let mut sum = 0;
        for blob in self.manifest_record(name, digest)?.into_iter().flat_map(|manifest| manifest.blobs) {
            let link: Option<LinkRecord> =
                record::read(&*self.storage, &record::link_key(name.as_str(), &blob))?;
            sum += link.map_or(0, |link| link.size);
        }
        Ok(sum)
    }

    pub(super) fn manifest_record(
        &self,
        name: &Repository,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, RegistryError> {
        Ok(record::read(&*self.storage, &record::manifest_key(name.as_str(), digest))?)
    }
}
