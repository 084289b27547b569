//! A manifest read and judged: what it is and what it names.

use oci::digest::Digest;
use oci::image::{Descriptor, media};
use serde::Deserialize;

use crate::RegistryError;

/// Bytes of a manifest at most (the specification asks for at least this).
pub const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// Descriptors in one document at most.
const MAX_DESCRIPTORS: usize = 10_000;
/// Layers that are never in a registry but somewhere else.
const NONDISTRIBUTABLE: &str = "nondistributable";
const FOREIGN: &str = "foreign";

/// What a manifest or index says, as far as a registry cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub media: String,
    /// Blobs that have to be in the repository.
    pub blobs: Vec<Descriptor>,
    /// Manifests that have to be in the repository.
    pub manifests: Vec<Descriptor>,
    /// What it says something about.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it is: its own word, or its configuration's media type.
    pub artifact_type: Option<String>,
    /// Its annotations, for listings of referrers.
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// Both kinds at once, so that a document which could be either is seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl Document {
    /// Reads a document that came with a `Content-Type`.
    ///
    /// # Errors
    /// `ManifestInvalid` for what is no manifest, contradicts itself or its header, or could be two things.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, RegistryError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| invalid(&error.to_string()))?;
        if wire.schema_version != 2 {
            return Err(invalid("only schema version 2 is taken"));
        }
        let named = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        let named = named.filter(|text| !text.is_empty() && *text != "application/json");
        let media = match (named, wire.media_type.as_deref()) {
            (Some(header), Some(own)) if header != own => {
                return Err(invalid("the header and the document name different media types"));
            }
            (Some(text), _) | (None, Some(text)) => text.to_owned(),
            (None, None) if wire.manifests.is_some() => media::OCI_INDEX.to_owned(),
            (None, None) => media::OCI_MANIFEST.to_owned(),
        };
        if media::is_index(&media) { wire.into_index(media) } else { wire.into_manifest(media) }
    }
}

impl Wire {
    fn into_index(self, media: String) -> Result<Document, RegistryError> {
        if self.config.is_some() || self.layers.is_some() || self.blobs.is_some() {
            return Err(invalid("an index has no configuration and no layers"));
        }
        let manifests = self.manifests.ok_or_else(|| invalid("an index lists manifests"))?;
        limited(&manifests)?;
        Ok(Document {
            media,
            blobs: Vec::new(),
            manifests,
            subject: self.subject,
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()),
            annotations: self.annotations.unwrap_or_default(),
        })
    }

    fn into_manifest(self, media: String) -> Result<Document, RegistryError> {
        if !media::is_manifest(&media) {
            return Err(invalid("the media type is none of a manifest"));
        }
        if self.manifests.is_some() || self.blobs.is_some() {
            return Err(invalid("a manifest lists layers, no manifests"));
        }
        let config = self.config.ok_or_else(|| invalid("a manifest has a configuration"))?;
        let layers = self.layers.ok_or_else(|| invalid("a manifest lists layers"))?;
        limited(&layers)?;
        let own = self.artifact_type.filter(|text| !text.is_empty());
        let artifact_type = Some(own.unwrap_or_else(|| config.media_type.clone()));
        let here = layers.into_iter().filter(|layer| !is_elsewhere(layer));
        Ok(Document {
            media,
            artifact_type: artifact_type.filter(|text| !text.is_empty()),
            blobs: std::iter::once(config).chain(here).collect(),
            manifests: Vec::new(),
            subject: self.subject,
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

/// A layer that its licence keeps out of registries.
fn is_elsewhere(layer: &Descriptor) -> bool {
    layer.media_type.contains(NONDISTRIBUTABLE) || layer.media_type.contains(FOREIGN)
}

fn limited(descriptors: &[Descriptor]) -> Result<(), RegistryError> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(invalid("too many descriptors"));
    }
    Ok(())
}

fn invalid(reason: &str) -> RegistryError {
    RegistryError::ManifestInvalid { reason: reason.to_owned() }
}

/// The digests, each once.
pub(crate) fn digests(descriptors: &[Descriptor]) -> Vec<Digest> {
    let mut all: Vec<Digest> = descriptors.iter().map(|descriptor| descriptor.digest.clone()).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_are_two_things_are_refused() {
        let digest = Digest::of(b"");
        let part = format!(r#"{{"mediaType":"x","digest":"{digest}","size":0}}"#);
        let manifest = format!(r#""schemaVersion":2,"config":{part},"layers":[]"#);
        let good = format!("{{{manifest}}}");
        assert_eq!(Document::parse(good.as_bytes(), None).unwrap().media, media::OCI_MANIFEST);
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(Document::parse(index.as_bytes(), None).unwrap().media, media::OCI_INDEX);
        for (text, header) in [
            (format!(r#"{{{manifest},"manifests":[]}}"#), None),
            (format!(r#"{{{manifest},"manifests":[]}}"#), Some(media::OCI_INDEX)),
            (good.clone(), Some(media::OCI_INDEX)),
            (index.to_owned(), Some(media::OCI_MANIFEST)),
            (
                format!(r#"{{{manifest},"mediaType":"{}"}}"#, media::DOCKER_MANIFEST),
                Some(media::OCI_MANIFEST),
            ),
            (good.replace(":2,", ":1,"), None),
            (good.clone(), Some("text/plain")),
            (r#"{"schemaVersion":2}"#.to_owned(), None),
            ("[]".to_owned(), None),
            (String::new(), None),
            (good.replace(digest.as_str(), "sha256:../../x"), None),
        ] {
            let parsed = Document::parse(text.as_bytes(), header);
            assert!(matches!(parsed, Err(RegistryError::ManifestInvalid { .. })), "{text} {header:?}");
        }
    }

    #[test]
    fn foreign_layers_need_not_be_here() {
        let digest = Digest::of(b"");
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{digest}","size":0}},"layers":[
            {{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{digest}","size":1}}]}}"#
        );
        let document = Document::parse(text.as_bytes(), None).unwrap();
        assert_eq!(document.blobs.len(), 1);
        assert_eq!(document.artifact_type.as_deref(), Some("c"));
    }
}
