//! Results of a build become a document with blobs.

use std::collections::{BTreeMap, HashMap};

use builder::Layer;
use oci::Digest;
use oci::image::{Descriptor, Manifest, media};

use super::CachedStep;
use super::config::{CacheConfig, CacheLayer, CacheRecord, CacheResult, LayerAnnotations, MEDIA_TYPE, Own};
use crate::build::Builds;
use crate::build::export::{Form, Packing, PushTarget, documents, layers, push};
use crate::{Error, Result};

/// What of a build's results is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// The steps of the image.
    Min,
    /// Those of all stages that were built.
    Max,
}

/// A cache that is ready to leave.
pub struct CacheExport {
    /// The manifest.
    pub target: Descriptor,
    /// Blobs and documents, what is named before what names it.
    pub parts: Vec<Descriptor>,
    _lease: image::Lease,
}

impl Builds<'_> {
    /// Makes documents and blobs of a build's results.
    ///
    /// # Errors
    /// When a layer cannot be packed; when it is not wanted any more.
    pub fn export_cache(
        &self,
        steps: &[&CachedStep],
        mode: CacheMode,
        packing: Packing,
        unwanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<CacheExport> {
        let lease = self.inner.storage.images.lease();
        let steps: Vec<&CachedStep> =
            steps.iter().copied().filter(|step| mode == CacheMode::Max || step.is_of_image).collect();
        let mut chains = Chains::default();
        let places: Vec<Option<usize>> = steps.iter().map(|step| chains.add(step)).collect();
        let plain: Vec<image::Layer> = chains.layers.iter().map(|(layer, _)| of_image(layer)).collect();
        let form = Form { packing: Some(packing), ..Form::default() };
        let packed = layers::formed(self.inner, &plain, plain.len(), &form, unwanted)?;
        let config = CacheConfig { layers: chains.documents(&packed), records: records(&steps, &places) };
        let config = documents::put(self.inner, MEDIA_TYPE, &config)?;
        let mut blobs: Vec<Descriptor> = Vec::new();
        for layer in packed {
            if !blobs.iter().any(|known| known.digest == layer.blob.digest) {
                blobs.push(layer.blob);
            }
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config: config.clone(),
            layers: blobs.clone(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        let target = documents::put(self.inner, media::OCI_MANIFEST, &manifest)?;
        blobs.extend([config, target.clone()]);
        Ok(CacheExport { target, parts: blobs, _lease: lease })
    }

    /// The document that travels within an image of these results: its layers are the image's own.
    pub fn inline_cache(&self, steps: &[CachedStep], image: &str) -> Result<Vec<u8>> {
        let image = self.inner.storage.images.find(image).map_err(Error::from_kinded)?;
        let place = |step: &CachedStep| {
            let own = step.record.layer.as_ref()?;
            image.diff_ids().iter().position(|diff_id| *diff_id == own.diff_id)
        };
        let steps: Vec<&CachedStep> = steps.iter().filter(|step| step.is_of_image).collect();
        let places: Vec<Option<usize>> = steps.iter().map(|step| place(step)).collect();
        let config = CacheConfig { layers: Vec::new(), records: records(&steps, &places) };
        serde_json::to_vec(&config).map_err(|error| Error::internal(error.to_string()))
    }

    /// Pushes a cache; its digest.
    ///
    /// # Errors
    /// What the registry says against it.
    pub fn push_cache(
        &self,
        export: &CacheExport,
        target: &PushTarget,
        stop: &registry_client::Stop,
    ) -> Result<Digest> {
        push::push(self.inner, &export.parts, target, stop, &|_| ())
    }
}

fn of_image(layer: &Layer) -> image::Layer {
    image::Layer { diff_id: layer.diff_id.clone(), blob: layer.blob.clone() }
}

/// Layers above each other, each pair once.
#[derive(Default)]
struct Chains {
    layers: Vec<(Layer, Option<usize>)>,
    places: HashMap<(Digest, Option<usize>), usize>,
}

impl Chains {
    /// Adds the layers of a result; where the uppermost one stands.
    fn add(&mut self, step: &CachedStep) -> Option<usize> {
        let mut parent = None;
        // A result without a layer of its own needs none of the others either.
        let own = step.record.layer.as_ref()?;
        for layer in step.below.iter().chain([own]) {
            let key = (layer.diff_id.clone(), parent);
            let new = self.layers.len();
            let place = *self.places.entry(key).or_insert(new);
            if place == new {
                self.layers.push((layer.clone(), parent));
            }
            parent = Some(place);
        }
        parent
    }

    fn documents(&self, packed: &[image::Layer]) -> Vec<CacheLayer> {
        let one = |((_, parent), packed): (&(Layer, Option<usize>), &image::Layer)| CacheLayer {
            blob: packed.blob.digest.clone(),
            parent: parent.and_then(|parent| i64::try_from(parent).ok()).unwrap_or(-1),
            annotations: Some(LayerAnnotations {
                media_type: packed.blob.media_type.clone(),
                diff_id: packed.diff_id.clone(),
                size: packed.blob.size,
                created_at: None,
            }),
        };
        self.layers.iter().zip(packed).map(one).collect()
    }
}

/// One record for each key.
fn records(steps: &[&CachedStep], places: &[Option<usize>]) -> Vec<CacheRecord> {
    let mut records = Vec::new();
    for (step, place) in steps.iter().zip(places) {
        if step.record.layer.is_some() && place.is_none() {
            continue;
        }
        let own = Own {
            has_layer: step.record.layer.is_some(),
            created: step.record.created,
            sources: step.record.sources.clone(),
            shape: step.record.shape,
            description: step.description.clone(),
        };
        let created_at = step.record.created;
        let results = place.map(|layer| CacheResult { layer, created_at }).into_iter().collect::<Vec<_>>();
        let digests = step.keys.iter().filter_map(|key| key.parse::<Digest>().ok());
        records.extend(digests.map(|digest| CacheRecord {
            digest,
            results: results.clone(),
            wharf: Some(own.clone()),
        }));
    }
    records
}
