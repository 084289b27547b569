//! Cache in a registry.

use std::io::Read;

use distribution::document::{self, Document};
use oci::image::Descriptor;
use oci::{Platform, Reference};
use registry_client::{Access, Credentials, Repository, Stop, Target};

use super::CacheSource;
use crate::build::Builds;
use crate::registry::{Caller, failure};
use crate::{Error, Result};

/// A name at a registry, with a cache or an image that has one within.
pub struct RegistrySource {
    repository: Repository,
    target: Target,
    platform: Platform,
    stop: Stop,
}

impl Builds<'_> {
    /// A place at a registry; nothing is asked yet.
    ///
    /// # Errors
    /// When the name is of no registry.
    pub fn registry_cache(
        &self,
        name: &Reference,
        credentials: &Credentials,
        platform: &Platform,
        stop: &Stop,
    ) -> Result<RegistrySource> {
        let caller = Caller { credentials: credentials.clone(), headers: Vec::new() };
        let client = self.inner.registries.client(&caller).until(stop);
        let repository = client.repository(name, credentials, Access::Pull).map_err(failure)?;
        let target = Target::of(&name.clone().or_latest());
        Ok(RegistrySource { repository, target, platform: platform.clone(), stop: stop.clone() })
    }
}

impl CacheSource for RegistrySource {
    fn manifest(&self) -> Result<Vec<u8>> {
        let found = self.repository.manifest(&self.target).map_err(failure)?;
        let index =
            match document::read(&found.bytes, &found.descriptor.media_type).map_err(Error::from_kinded)? {
                Document::Manifest(_) => return Ok(found.bytes),
                Document::Index(index) => index,
            };
        let fits = |one: &&Descriptor| one.platform.as_ref().is_some_and(|of| self.platform.accepts(of));
        let missing = || Error::not_found("nothing for this platform in the index");
        let entry = index.manifests.iter().find(fits).ok_or_else(missing)?;
        Ok(self.repository.manifest(&Target::Digest(entry.digest.clone())).map_err(failure)?.bytes)
    }

    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.repository.blob(blob, 0, &self.stop).map_err(failure)?))
    }
}
