//! What an image is on each platform, for `images --tree` and whoever asks for `manifests`.

use std::collections::HashMap;

use image::{ManifestInfo, ManifestKind};
use serde_json::{Value, json};

use crate::engine::Inner;

/// The manifests of an image in the API's form (`ImageManifestSummary`).
pub(super) fn of(inner: &Inner, image: &::image::Image) -> Vec<Value> {
    let users = users(inner, image);
    let manifests = inner.storage.images.manifests(image);
    manifests.into_iter().map(|manifest| summary(inner, manifest, &users)).collect()
}

/// Ids of the image's containers, by the manifest they were made from.
fn users(inner: &Inner, image: &::image::Image) -> HashMap<String, Vec<String>> {
    let mut users: HashMap<String, Vec<String>> = HashMap::new();
    for container in inner.containers.list() {
        let record = container.record();
        if record.image_id == image.id.as_str() {
            // Older records say nothing of it.
            let manifest = record.image_manifest.as_ref().unwrap_or(&image.manifest);
            users.entry(manifest.digest.to_string()).or_default().push(record.id.to_string());
        }
    }
    users
}

fn summary(inner: &Inner, manifest: ManifestInfo, users: &HashMap<String, Vec<String>>) -> Value {
    let ManifestInfo { descriptor, kind, content_size } = manifest;
    let id = descriptor.digest.to_string();
    let mut shown = json!({
        "ID": &id,
        "Descriptor": descriptor,
        "Available": false,
        "Size": {"Content": content_size, "Total": content_size},
        "Kind": "unknown",
    });
    match kind {
        ManifestKind::Image { platform, variant } => {
            let diff_ids = variant.as_ref().map(|variant| variant.config.rootfs.diff_ids.as_slice());
            let usage = diff_ids.and_then(|diff_ids| inner.storage.snapshots.image_usage(diff_ids).ok());
            let unpacked = usage.map_or(0, |usage| usage.size);
            shown["Kind"] = json!("image");
            shown["Available"] = json!(variant.is_some());
            shown["Size"]["Total"] = json!(content_size.saturating_add(unpacked));
            shown["ImageData"] = json!({
                "Platform": platform,
                "Containers": users.get(&id).cloned().unwrap_or_default(),
                "Size": {"Unpacked": unpacked},
            });
        }
        ManifestKind::Attestation { about } => {
            shown["Kind"] = json!("attestation");
            shown["Available"] = json!(content_size > 0);
            shown["AttestationData"] = json!({"For": about});
        }
        ManifestKind::Unknown => {}
    }
    shown
}
