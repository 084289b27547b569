//! Configurations, manifests and the index of an export.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use oci::image::{Descriptor, ImageConfig, Index, Manifest, media};
use oci::{Digest, Platform, Reference};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Form, Part, layers};
use crate::build::package;
use crate::engine::Inner;
use crate::{Error, Result};

/// What a statement is as a blob.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// Where a configuration has its cache.
const INLINE_CACHE: &str = "moby.buildkit.cache.v0";

/// Where a predicate has its layers.
const LAYERS: &str = "/metadata/https:~1~1mobyproject.org~1buildkit@v1#metadata/layers";

/// Writes all documents; the uppermost one, and the first configuration's digest.
pub(super) fn write(
    inner: &Inner,
    parts: &[Part],
    form: &Form,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<(Descriptor, Digest)> {
    let is_index = parts.len() > 1 || parts.iter().any(|part| !part.statements.is_empty());
    if !is_index {
        form.annotations.refuse_index()?;
    }
    let mut manifests = Vec::new();
    let mut config = None;
    let mut blobs = HashMap::new();
    for part in parts {
        let (mut manifest, own) = image(inner, part, form, &mut blobs, unwanted)?;
        config.get_or_insert(own);
        if is_index {
            manifest.platform = Some(part.platform.normalized());
        }
        manifests.push(manifest);
    }
    let config = config.ok_or_else(|| Error::invalid("there is nothing to export"))?;
    if !is_index && let Some(manifest) = manifests.pop() {
        return Ok((manifest, config));
    }
    let subjects: Vec<Descriptor> = manifests.clone();
    for (part, subject) in parts.iter().zip(&subjects).filter(|(part, _)| !part.statements.is_empty()) {
        manifests.push(about(inner, part, subject, form, &blobs)?);
    }
    let kind = if form.docker_types { media::DOCKER_INDEX } else { media::OCI_INDEX };
    let index = Index {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        manifests,
        annotations: form.annotations.index().clone(),
    };
    let mut target = put(inner, kind, &index)?;
    target.annotations.clone_from(form.annotations.index_descriptor());
    Ok((target, config))
}

/// One platform's image.
fn image(
    inner: &Inner,
    part: &Part,
    form: &Form,
    blobs: &mut HashMap<Digest, Descriptor>,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<(Descriptor, Digest)> {
    let image = inner.storage.images.find(&part.image).map_err(Error::from_kinded)?;
    let layers = layers::formed(inner, &image.layers, part.base_layers, form, unwanted)?;
    let made = layers.iter().map(|layer| layer.blob.clone());
    blobs.extend(image.layers.iter().map(|layer| layer.blob.digest.clone()).zip(made));
    let mut config = image.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let kind = if form.docker_types { media::DOCKER_CONFIG } else { media::OCI_CONFIG };
    let config = match &part.inline_cache {
        None => put(inner, kind, &config)?,
        Some(cache) => put(inner, kind, &with_cache(&config, cache)?)?,
    };
    let digest = config.digest.clone();
    let kind = if form.docker_types { media::DOCKER_MANIFEST } else { media::OCI_MANIFEST };
    let annotations = form.annotations.manifest(&part.platform);
    let manifest = manifest(kind, config, layers.into_iter().map(|layer| layer.blob).collect(), annotations);
    let mut descriptor = put(inner, kind, &manifest)?;
    descriptor.annotations = form.annotations.manifest_descriptor(&part.platform);
    Ok((descriptor, digest))
}

fn with_cache(config: &ImageConfig, cache: &[u8]) -> Result<Value> {
    let mut value = serde_json::to_value(config).map_err(|error| Error::internal(error.to_string()))?;
    if let Some(members) = value.as_object_mut() {
        let text = base64::engine::general_purpose::STANDARD.encode(cache);
        members.insert(INLINE_CACHE.to_owned(), text.into());
    }
    Ok(value)
}

/// The manifest of what is said about an image, whose layers left as `blobs` say.
fn about(
    inner: &Inner,
    part: &Part,
    subject: &Descriptor,
    form: &Form,
    blobs: &HashMap<Digest, Descriptor>,
) -> Result<Descriptor> {
    let subjects = subjects(part, subject, &form.names);
    let mut layers = Vec::new();
    for said in &part.statements {
        let mut predicate = said.predicate.clone();
        replace(&mut predicate, blobs);
        let document = statement(&said.predicate_type, &predicate, subjects.clone());
        let mut layer = put(inner, STATEMENT, &document)?;
        layer.annotations = [("in-toto.io/predicate-type".to_owned(), said.predicate_type.clone())].into();
        layers.push(layer);
    }
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = put(inner, media::OCI_CONFIG, &config)?;
    let manifest = manifest(media::OCI_MANIFEST, config, layers, BTreeMap::new());
    let mut descriptor = put(inner, media::OCI_MANIFEST, &manifest)?;
    let unknown = || "unknown".to_owned();
    descriptor.platform = Some(Platform { os: unknown(), architecture: unknown(), ..Platform::default() });
    descriptor.annotations = [
        ("vnd.docker.reference.digest".to_owned(), subject.digest.to_string()),
        ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
    ]
    .into();
    Ok(descriptor)
}

/// What a statement is about, by the image's names.
fn subjects(part: &Part, image: &Descriptor, names: &[Reference]) -> Vec<Value> {
    let called = |name: &Reference| package::url(name, &part.platform);
    match names {
        [] => vec![subject("_", &image.digest)],
        names => names.iter().map(|name| subject(&called(name), &image.digest)).collect(),
    }
}

/// One thing a statement is about.
pub(super) fn subject(name: &str, digest: &Digest) -> Value {
    json!({ "name": name, "digest": { digest.algorithm().name(): digest.hex() } })
}

/// A predicate with what it is about.
pub(super) fn statement(kind: &str, predicate: &Value, subjects: Vec<Value>) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": kind,
        "subject": subjects,
        "predicate": predicate,
    })
}

/// Where a predicate speaks of layers it is to name the blobs that leave.
fn replace(predicate: &mut Value, blobs: &HashMap<Digest, Descriptor>) {
    let steps = predicate.pointer_mut(LAYERS).and_then(Value::as_object_mut);
    let chains = steps.into_iter().flat_map(|steps| steps.values_mut()).filter_map(Value::as_array_mut);
    let layers = chains.flatten().filter_map(Value::as_array_mut).flatten();
    for layer in layers {
        let digest = layer.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
        if let Some(blob) = digest.and_then(|digest: Digest| blobs.get(&digest)) {
            *layer = json!(blob);
        }
    }
}

fn manifest(
    kind: &str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
) -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations,
    }
}

/// Writes a document into the store.
pub(in crate::build) fn put(inner: &Inner, kind: &str, document: &impl Serialize) -> Result<Descriptor> {
    let bytes = serde_json::to_vec(document).map_err(|error| Error::internal(error.to_string()))?;
    inner.storage.images.content().put(&bytes).map_err(Error::from_kinded)?;
    Ok(Descriptor::of(kind, &bytes))
}
