//! Manifests and indexes, read strictly: what two readers could understand differently is refused.

use model::{ErrorKind, Kinded};
use oci::image::{Descriptor, Index, Manifest, media};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A document of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// A list of manifests.
    Index(Index),
}

/// A document that is not taken, and why.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not of the form.
    #[error("invalid manifest")]
    Json(#[from] serde_json::Error),
    /// An old form.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported: the image has to be pushed again in a newer format"
    )]
    Schema1,
    /// A member stands twice.
    #[error("invalid manifest: {0:?} stands twice in it")]
    Twice(String),
    /// It could be read as two things.
    #[error("invalid manifest: it is both a manifest and an index")]
    Ambiguous,
    /// It says to be something it is not.
    #[error("invalid manifest: media type {said:?} does not fit the document")]
    MediaType {
        /// What it or the answer's head says.
        said: String,
    },
    /// It is no image.
    #[error("unsupported media type {0:?}: this is not a container image")]
    NoImage(String),
    /// A layer of a kind that is not taken.
    #[error("unsupported media type {0:?} of a layer")]
    Layer(String),
    /// A layer that would be had from elsewhere.
    #[error("layer {0} is a foreign layer: it is not in the registry, and is not fetched from elsewhere")]
    Foreign(String),
    /// Too many or too large parts.
    #[error("invalid manifest: {0}")]
    Limit(String),
    /// Parts that contradict one another.
    #[error("invalid image: {0}")]
    Inconsistent(String),
}

impl Kinded for DocumentError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Layers of an image; overlayfs takes fewer.
const LAYERS: usize = 500;
/// Manifests of an index.
const MANIFESTS: usize = 1000;
/// Bytes of a configuration.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;
/// Bytes of a layer: more than any file system here holds in one file.
const LAYER_LIMIT: u64 = 1 << 42;
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Reads a document; `said` is the media type its descriptor or the answer's head gives, if any.
///
/// # Errors
/// For everything that is not exactly one of the known documents.
pub fn read(bytes: &[u8], said: &str) -> Result<Document, DocumentError> {
    let keys: Keys = serde_json::from_slice(bytes)?;
    let has = |key: &str| keys.0.iter().any(|held| held == key);
    for (at, key) in keys.0.iter().enumerate() {
        // Go's reader takes `Layers` for `layers`.
        if keys.0.iter().skip(at + 1).any(|other| other.eq_ignore_ascii_case(key)) {
            return Err(DocumentError::Twice(key.clone()));
        }
    }
    let head: Head = serde_json::from_slice(bytes)?;
    let own = head.media_type.unwrap_or_default();
    if said.starts_with(SCHEMA1)
        || own.starts_with(SCHEMA1)
        || has("fsLayers")
        || head.schema_version == Some(1)
    {
        return Err(DocumentError::Schema1);
    }
    let is_index = has("manifests");
    if is_index && (has("config") || has("layers")) {
        return Err(DocumentError::Ambiguous);
    }
    let fits = |kind: &str| if is_index { media::is_index(kind) } else { media::is_manifest(kind) };
    let known = |kind: &str| media::is_index(kind) || media::is_manifest(kind);
    if !own.is_empty() && !fits(&own) {
        return Err(DocumentError::MediaType { said: own });
    }
    // A head without a type that says something (`application/json`) leaves it to the document.
    if known(said) && (!fits(said) || (!own.is_empty() && own != said)) {
        return Err(DocumentError::MediaType { said: said.to_owned() });
    }
    if is_index {
        let index: Index = serde_json::from_slice(bytes)?;
        check_index(&index)?;
        return Ok(Document::Index(index));
    }
    if !has("config") && !has("layers") {
        return Err(DocumentError::NoImage(if own.is_empty() { said.to_owned() } else { own }));
    }
    let manifest: Manifest = serde_json::from_slice(bytes)?;
    Ok(Document::Manifest(Box::new(manifest)))
}

/// The media type of a document: its own word, else the head's, else OCI's.
pub(crate) fn media_type(document: &Document, said: &str) -> String {
    let (own, usual) = match document {
        Document::Manifest(manifest) => (&manifest.media_type, media::OCI_MANIFEST),
        Document::Index(index) => (&index.media_type, media::OCI_INDEX),
    };
    let known = media::is_index(said) || media::is_manifest(said);
    own.clone().unwrap_or_else(|| if known { said.to_owned() } else { usual.to_owned() })
}

/// Whether a manifest is one of an image that can be unpacked here.
///
/// # Errors
/// For artifacts, foreign layers and immoderate sizes.
pub fn check_image(manifest: &Manifest) -> Result<(), DocumentError> {
    if !media::is_config(&manifest.config.media_type) {
        return Err(DocumentError::NoImage(manifest.config.media_type.clone()));
    }
    if manifest.config.size > CONFIG_LIMIT {
        return Err(DocumentError::Limit(format!("a configuration of {} bytes", manifest.config.size)));
    }
    if manifest.layers.len() > LAYERS {
        return Err(DocumentError::Limit(format!("{} layers", manifest.layers.len())));
    }
    manifest.layers.iter().try_for_each(check_layer)
}

fn check_layer(layer: &Descriptor) -> Result<(), DocumentError> {
    let kind = &layer.media_type;
    if !layer.urls.is_empty() || kind.contains(".foreign.") || kind.contains("nondistributable") {
        return Err(DocumentError::Foreign(layer.digest.short().to_owned()));
    }
    let known = [
        media::OCI_LAYER,
        media::OCI_LAYER_GZIP,
        media::OCI_LAYER_ZSTD,
        media::DOCKER_LAYER,
        media::DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ];
    if !known.contains(&kind.as_str()) {
        return Err(DocumentError::Layer(kind.clone()));
    }
    if layer.size > LAYER_LIMIT {
        return Err(DocumentError::Limit(format!("a layer of {} bytes", layer.size)));
    }
    Ok(())
}

fn check_index(index: &Index) -> Result<(), DocumentError> {
    if index.manifests.len() > MANIFESTS {
        return Err(DocumentError::Limit(format!("{} manifests", index.manifests.len())));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    #[serde(rename = "schemaVersion")]
    schema_version: Option<i64>,
}

/// The members of a document as often as they stand there.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a document")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn part(kind: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":1}}"#, digest())
    }

    fn manifest(own: &str, layer: &str) -> String {
        let (config, layer) = (part(media::OCI_CONFIG), part(layer));
        format!(r#"{{"schemaVersion":2,"mediaType":"{own}","config":{config},"layers":[{layer}]}}"#)
    }

    fn outcome(text: &str, said: &str) -> String {
        match read(text.as_bytes(), said) {
            Ok(Document::Index(_)) => "index".to_owned(),
            Ok(Document::Manifest(manifest)) => match check_image(&manifest) {
                Ok(()) => "image".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_clear_documents_are_taken() {
        let good = manifest(media::OCI_MANIFEST, media::OCI_LAYER_GZIP);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, part(media::OCI_MANIFEST));
        let both = good.replacen('{', r#"{"manifests":[],"#, 1);
        let twice = good.replacen('{', r#"{"Layers":[],"#, 1);
        let foreign =
            manifest(media::OCI_MANIFEST, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        let strange = manifest(media::OCI_MANIFEST, "application/vnd.oci.image.layer.v1.tar+evil");
        let elsewhere = good.replace("\"size\":1}]", "\"size\":1,\"urls\":[\"http://x\"]}]");
        for (text, said, expected) in [
            (good.as_str(), "", "image"),
            (&good, "application/json", "image"),
            (&good, media::OCI_MANIFEST, "image"),
            (&good, media::DOCKER_MANIFEST, "does not fit"),
            (&good, media::OCI_INDEX, "does not fit"),
            (&index, media::DOCKER_INDEX, "index"),
            (&index, media::OCI_MANIFEST, "does not fit"),
            (&both, "", "both a manifest and an index"),
            (&twice, "", "stands twice"),
            (&foreign, "", "foreign layer"),
            (&elsewhere, "", "foreign layer"),
            (&strange, "", "unsupported media type"),
            (
                &good.replace(media::OCI_CONFIG, "application/vnd.cncf.helm.config.v1+json"),
                "",
                "not a container image",
            ),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "", "schema 1"),
            (&good, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
            ("{}", "text/html", "not a container image"),
            ("[]", "", "invalid manifest"),
            ("{\"config\":", "", "invalid manifest"),
            (r#"{"schemaVersion":2,"config":{"digest":"sha256:../x"},"layers":[]}"#, "", "invalid manifest"),
        ] {
            let found = outcome(text, said);
            assert!(found.contains(expected), "{text} as {said:?}: {found}");
        }
    }
}
