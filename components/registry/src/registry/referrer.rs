//! Referrers: the manifests that say something about another.

use oci::digest::Digest;
use oci::image::{Descriptor, Index, media};

use super::Registry;
use super::record;
use crate::RegistryError;
use crate::name::Repository;

impl Registry {
    /// Descriptors of the manifests whose subject is this digest, in order of their digests. Those that a client listed
    /// under the fallback tag, before registries did this, are among them.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn referrers(&self, name: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let prefix = format!("referrer/{name}@{subject}@");
        let found: Vec<(String, Descriptor)> = record::list(&*self.storage, &prefix)?;
        let mut all: Vec<Descriptor> = found.into_iter().map(|(_, descriptor)| descriptor).collect();
        for listed in self.fallback(name, subject)? {
            let known = all.iter().any(|held| held.digest == listed.digest);
            let key = record::manifest_key(name.as_str(), &listed.digest);
            if !known && self.storage.record(&key)?.is_some() {
                all.push(listed);
            }
        }
        all.sort_by(|left, right| left.digest.cmp(&right.digest));
        Ok(all)
    }

    /// What the index under the fallback tag lists.
    fn fallback(&self, name: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let tag = format!("{}-{}", subject.algorithm().name(), subject.hex().get(..64).unwrap_or_default());
        let manifest = match self.manifest(name, &tag) {
            Ok(manifest) if media::is_index(&manifest.media) => manifest,
            Ok(_) | Err(RegistryError::ManifestUnknown { .. } | RegistryError::NameUnknown { .. }) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice::<Index>(&manifest.bytes).map(|index| index.manifests).unwrap_or_default())
    }
}
