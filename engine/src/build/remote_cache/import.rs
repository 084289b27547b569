//! Results from elsewhere. Who names a place trusts it to say what steps come to, as with BuildKit; that blobs are what
//! their digests and diff ids say is compared here. What came in is of use to the builds that name the place, and is not
//! remembered as this engine's own.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use builder::solve::Record;
use builder::{Key, Layer};
use oci::Digest;
use oci::image::{Descriptor, ImageConfig, Manifest, media};

use super::config::{CacheConfig, CacheLayer, LONGEST, MEDIA_TYPE, MOST};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Bytes of a manifest.
const LONGEST_MANIFEST: u64 = 4 << 20;
/// Where an image's configuration has its cache.
const INLINE: &str = "moby.buildkit.cache.v0";

/// A place with blobs.
pub trait CacheSource: Send + Sync {
    /// The uppermost document: a manifest.
    ///
    /// # Errors
    /// When there is none.
    fn manifest(&self) -> Result<Vec<u8>>;

    /// The bytes of a blob; who reads them compares them.
    ///
    /// # Errors
    /// When it is not to be had.
    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>>;
}

/// Results of one place.
pub struct ImportedCache {
    source: Box<dyn CacheSource>,
    records: HashMap<String, Record>,
}

impl ImportedCache {
    /// Reads what a place has.
    ///
    /// # Errors
    /// When there is nothing, or it is not of the form.
    pub fn read(source: Box<dyn CacheSource>) -> Result<Self> {
        let bytes = source.manifest()?;
        if bytes.len() as u64 > LONGEST_MANIFEST {
            return Err(Error::invalid("a manifest of a cache that is too long"));
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        let config = document(&*source, &manifest.config)?;
        let records = if manifest.config.media_type == MEDIA_TYPE {
            let config: CacheConfig = serde_json::from_slice(&config).map_err(|error| malformed(&error))?;
            records(&config, &layers(&config.layers)?)?
        } else {
            inline(&config, &manifest)?
        };
        Ok(Self { source, records })
    }

    /// How many results there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("a document of a cache is not of its form: {error}"))
}

/// A document, compared with its digest.
fn document(source: &dyn CacheSource, descriptor: &Descriptor) -> Result<Vec<u8>> {
    if descriptor.size > LONGEST {
        return Err(Error::invalid(format!("a cache's document of {} bytes is too long", descriptor.size)));
    }
    let mut bytes = Vec::new();
    let read = source.blob(descriptor)?.take(descriptor.size + 1).read_to_end(&mut bytes);
    read.doing(|| "reading a cache's document".to_owned())?;
    if bytes.len() as u64 != descriptor.size || Digest::of(&bytes) != descriptor.digest {
        return Err(Error::invalid(format!(
            "a cache's document is not what its digest {} says",
            descriptor.digest
        )));
    }
    Ok(bytes)
}

/// The results within an image.
fn inline(config: &[u8], manifest: &Manifest) -> Result<HashMap<String, Record>> {
    if !media::is_config(&manifest.config.media_type) {
        let kind = &manifest.config.media_type;
        return Err(Error::invalid(format!("{kind:?} is neither a cache nor an image")));
    }
    let value: serde_json::Value = serde_json::from_slice(config).map_err(|error| malformed(&error))?;
    let Some(text) = value.get(INLINE).and_then(serde_json::Value::as_str) else { return Ok(HashMap::new()) };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| malformed(&error))?;
    let cache: CacheConfig = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
    let image: ImageConfig = serde_json::from_slice(config).map_err(|error| malformed(&error))?;
    let layers = image.rootfs.diff_ids.into_iter().zip(&manifest.layers);
    let layers: Vec<Layer> = layers
        .map(|(diff_id, blob)| checked(Layer { diff_id, blob: blob.clone() }))
        .collect::<Result<_>>()?;
    records(&cache, &layers)
}

fn layers(documents: &[CacheLayer]) -> Result<Vec<Layer>> {
    if documents.len() > MOST {
        return Err(Error::invalid(format!("a cache of more than {MOST} layers")));
    }
    let one = |document: &CacheLayer| {
        let said = document.annotations.as_ref();
        let said = said.ok_or_else(|| Error::invalid("a layer of a cache says nothing of itself"))?;
        let blob = Descriptor::new(&said.media_type, document.blob.clone(), said.size);
        checked(Layer { diff_id: said.diff_id.clone(), blob })
    };
    documents.iter().map(one).collect()
}

/// A layer that could be one.
fn checked(layer: Layer) -> Result<Layer> {
    let kind = &layer.blob.media_type;
    let is_compressed = kind.contains("gzip") || kind.contains("zstd");
    if !media::is_layer(kind) || kind.contains(".foreign.") || kind.contains(".nondistributable.") {
        return Err(Error::invalid(format!("{kind:?} is no layer of a cache")));
    }
    if !is_compressed && layer.blob.digest != layer.diff_id {
        return Err(Error::invalid("a layer of a cache is not what its diff id says"));
    }
    Ok(Layer { blob: Descriptor::new(kind, layer.blob.digest.clone(), layer.blob.size), ..layer })
}

/// This builder's own records; those of others are no use here.
fn records(config: &CacheConfig, layers: &[Layer]) -> Result<HashMap<String, Record>> {
    if config.records.len() > MOST {
        return Err(Error::invalid(format!("a cache of more than {MOST} records")));
    }
    let mut records = HashMap::new();
    for document in &config.records {
        let Some(own) = &document.wharf else { continue };
        let layer = if own.has_layer {
            let place = document.results.first().and_then(|result| layers.get(result.layer));
            Some(place.ok_or_else(|| Error::invalid("a record of a cache names no layer of it"))?.clone())
        } else {
            None
        };
        let record = Record {
            layer,
            created: own.created,
            sources: own.sources.clone(),
            shape: own.shape,
            imported: true,
        };
        records.insert(document.digest.to_string(), record);
    }
    Ok(records)
}

/// What one build has from elsewhere.
pub(in crate::build) struct Imports<'i> {
    inner: &'i Inner,
    caches: &'i [Arc<ImportedCache>],
    /// Layers that were taken, and from which of the caches they come.
    taken: Mutex<HashMap<Digest, usize>>,
}

impl<'i> Imports<'i> {
    pub(in crate::build) fn new(inner: &'i Inner, caches: &'i [Arc<ImportedCache>]) -> Self {
        Self { inner, caches, taken: Mutex::default() }
    }

    /// A result of any of them; its layer comes when it is needed.
    pub(in crate::build) fn find(&self, key: &Key) -> Option<Record> {
        let (index, record) = self
            .caches
            .iter()
            .enumerate()
            .find_map(|(index, cache)| Some((index, cache.records.get(key.as_str())?)))?;
        if let Some(layer) = &record.layer {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.insert(layer.blob.digest.clone(), index);
        }
        Some(record.clone())
    }

    /// Makes sure that layers are here.
    pub(in crate::build) fn fetch(&self, layers: &[Layer]) -> Result<()> {
        if self.caches.is_empty() {
            return Ok(());
        }
        for layer in layers {
            let digest = &layer.blob.digest;
            let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
            let Some(cache) = taken.and_then(|index| self.caches.get(index)) else { continue };
            let content = self.inner.storage.images.content();
            if content.has(&layer.blob).map_err(Error::from_kinded)? {
                continue;
            }
            let mut stream = cache.source.blob(&layer.blob)?.take(layer.blob.size + 1);
            let mut ingest = content.ingest(digest.algorithm()).map_err(Error::from_kinded)?;
            io::copy(&mut stream, &mut ingest).doing(|| format!("fetching layer {digest} of a cache"))?;
            ingest.finish(Some(digest)).map_err(Error::from_kinded)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        manifest: Vec<u8>,
        config: Vec<u8>,
    }

    impl CacheSource for Fixed {
        fn manifest(&self) -> Result<Vec<u8>> {
            Ok(self.manifest.clone())
        }

        fn blob(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(self.config.clone())))
        }
    }

    fn read(config: &str) -> Result<ImportedCache> {
        let descriptor = Descriptor::of(MEDIA_TYPE, config.as_bytes());
        read_as(&descriptor, config)
    }

    fn read_as(descriptor: &Descriptor, config: &str) -> Result<ImportedCache> {
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": descriptor, "layers": [] });
        let manifest = manifest.to_string().into_bytes();
        ImportedCache::read(Box::new(Fixed { manifest, config: config.as_bytes().to_vec() }))
    }

    const ZERO: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    fn cache(kind: &str, blob: &str, place: usize) -> String {
        format!(
            r#"{{"layers":[{{"blob":"{blob}","parent":-1,"annotations":{{"mediaType":"{kind}","diffID":"{ZERO}","size":9}}}}],
            "records":[{{"digest":"{ONE}","layers":[{{"layer":{place},"createdAt":"2020-01-01T00:00:00Z"}}],
            "wharf":{{"has_layer":true,"created":"2020-01-01T00:00:00Z"}}}},
            {{"digest":"{ZERO}","layers":[{{"layer":0,"createdAt":"2020-01-01T00:00:00Z"}}],"inputs":[[{{"link":0}}]]}}]}}"#
        )
    }

    #[test]
    fn only_own_records_with_possible_layers_are_taken() {
        let read = |kind: &str, blob: &str, place| read(&cache(kind, blob, place));
        let good = read(media::OCI_LAYER_GZIP, ONE, 0).expect("reads");
        assert_eq!(good.len(), 1, "the other record is another builder's");
        assert!(good.records.values().all(|record| record.imported));
        assert!(read(media::OCI_LAYER, ZERO, 0).is_ok());
        assert!(read(media::OCI_LAYER, ONE, 0).is_err(), "a blob that cannot have this diff id");
        assert!(read(media::OCI_LAYER_GZIP, ONE, 1).is_err(), "a layer that is not there");
        assert!(read("text/plain", ONE, 0).is_err());
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        let config = cache(media::OCI_LAYER_GZIP, ONE, 0);
        let mut other = Descriptor::of(MEDIA_TYPE, b"something else");
        other.size = config.len() as u64;
        assert!(read_as(&other, &config).is_err(), "another digest");
        let mut long = Descriptor::of(MEDIA_TYPE, config.as_bytes());
        long.size = LONGEST + 1;
        assert!(read_as(&long, &config).is_err(), "too long");
        let text = Descriptor::of("text/plain", config.as_bytes());
        assert!(read_as(&text, &config).is_err(), "neither cache nor image");
        for broken in ["", "[1]", "{\"records\":[{}]}", "{\"layers\":[{\"blob\":\"x\"}]}"] {
            assert!(read(broken).is_err(), "{broken}");
        }
        let image = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let image = read_as(&Descriptor::of(media::OCI_CONFIG, image.as_bytes()), image);
        assert!(image.expect("an image without cache").is_empty());
    }
}
