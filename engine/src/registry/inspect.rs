//! What a name stands for at its registry, without pulling it.

use std::io::Read;

use api::image::DistributionInspect;
use distribution::document::{self, Document};
use oci::image::{Descriptor, ImageConfig};
use oci::{Platform, Reference};
use registry_client::{Access, Repository, Stop, Target};

use super::{Caller, failure};
use crate::engine::Inner;
use crate::{Error, Result};

/// Bytes of a configuration.
const CONFIG_LIMIT: u64 = 8 << 20;

pub(super) fn inspect(inner: &Inner, name: &str, caller: &Caller) -> Result<DistributionInspect> {
    let reference: Reference = name.parse().map_err(Error::from_kinded)?;
    let reference = reference.or_latest();
    let client = inner.registries.client(caller);
    let repository = client.repository(&reference, &caller.credentials, Access::Pull).map_err(failure)?;
    let target = Target::of(&reference);
    // Asked for first because Docker does, and so that a refusal reads the same.
    let head = repository.head(&target).map_err(failure)?;
    let target = head.map_or(target, |found| Target::Digest(found.digest));
    let found = repository.manifest(&target).map_err(failure)?;
    let document = document::read(&found.bytes, &found.descriptor.media_type).map_err(Error::from_kinded)?;
    let platforms = match &document {
        Document::Index(index) => {
            index.manifests.iter().filter_map(|entry| entry.platform.clone()).map(shown).collect()
        }
        Document::Manifest(manifest) if oci::image::media::is_config(&manifest.config.media_type) => {
            vec![shown(platform(&repository, &manifest.config)?)]
        }
        Document::Manifest(_) => Vec::new(),
    };
    let descriptor =
        serde_json::to_value(&found.descriptor).map_err(|error| Error::internal(error.to_string()))?;
    Ok(DistributionInspect { descriptor, platforms })
}

fn shown(platform: Platform) -> serde_json::Value {
    serde_json::to_value(platform).unwrap_or_default()
}

fn platform(repository: &Repository, config: &Descriptor) -> Result<Platform> {
    if config.size > CONFIG_LIMIT {
        return Err(Error::invalid(format!("a configuration of {} bytes", config.size)));
    }
    let stream = repository.blob(config, 0, &Stop::default()).map_err(failure)?;
    let mut bytes = Vec::new();
    let read = stream.take(CONFIG_LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| Error::caused("reading the configuration", error))?;
    let mut digester = oci::digest::Digester::new(config.digest.algorithm());
    digester.update(&bytes);
    if digester.finish() != config.digest {
        return Err(Error::internal("the configuration has another digest than the manifest says"));
    }
    let config: ImageConfig =
        serde_json::from_slice(&bytes).map_err(|error| Error::caused("reading the configuration", error))?;
    Ok(config.platform)
}
