//! What is known of one manifest: its name, descriptor and bytes, in the JSON that docker keeps and shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::image::{Descriptor, Manifest, media};
use oci::{Digest, Reference};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::failure::Failure;

/// One manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    /// Where it came from.
    #[serde(rename = "Ref")]
    pub name: String,
    /// Media type, digest, size and the platform it is for.
    pub descriptor: Descriptor,
    /// The bytes, as base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    raw: String,
    #[serde(default, rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    docker: Option<Json>,
    #[serde(default, rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<Json>,
}

impl Entry {
    /// From the bytes a registry gave.
    ///
    /// # Errors
    /// When they are no manifest of an image.
    pub(super) fn new(name: String, descriptor: Descriptor, bytes: &[u8]) -> Result<Self, Failure> {
        let document: Json = serde_json::from_slice(bytes)
            .map_err(|error| Failure::text(format!("{name} is no manifest: {error}")))?;
        let (docker, oci) = match descriptor.media_type.as_str() {
            media::DOCKER_MANIFEST => (Some(document), None),
            media::OCI_MANIFEST => (None, Some(document)),
            other => {
                return Err(Failure::text(format!(
                    "{name} has the media type {}, which is no manifest of an image",
                    crate::value::quoted(other)
                )));
            }
        };
        Ok(Self { name, descriptor, raw: STANDARD.encode(bytes), docker, oci })
    }

    /// The document as it is shown.
    pub(super) fn document(&self) -> Option<&Json> {
        self.docker.as_ref().or(self.oci.as_ref())
    }

    /// The name, parsed.
    ///
    /// # Errors
    /// When what was kept is no name.
    pub(super) fn reference(&self) -> Result<Reference, Failure> {
        super::parse(&self.name)
    }

    /// The bytes, compared with their digest.
    ///
    /// # Errors
    /// When what was kept is not what it was.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let bytes = STANDARD.decode(&self.raw).unwrap_or_default();
        if Digest::of(&bytes) != self.descriptor.digest {
            return Err(Failure::text(format!("what is kept of {} does not have its digest", self.name)));
        }
        Ok(bytes)
    }

    /// Digests of configuration and layers.
    ///
    /// # Errors
    /// When the manifest does not name them.
    pub(super) fn blobs(&self) -> Result<Vec<Digest>, Failure> {
        let manifest: Manifest = serde_json::from_slice(&self.bytes()?)
            .map_err(|error| Failure::text(format!("{} is no manifest: {error}", self.name)))?;
        let foreign = |layer: &&Descriptor| layer.urls.is_empty();
        let layers = manifest.layers.iter().filter(foreign).map(|layer| layer.digest.clone());
        Ok(std::iter::once(manifest.config.digest.clone()).chain(layers).collect())
    }
}
