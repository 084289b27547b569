//! Images of several platforms: which one is shown, taken in, given out, removed.

use std::collections::BTreeMap;

use archive::{Entry, Writer};
use model::Kinded;
use oci::image::{ImageConfig, media};
use serde_json::json;

use super::tests::{Place, files, name, pack};
use super::*;
use crate::{Loaded, ManifestKind, Removed};

/// An archive of one image, `app:1`, with a manifest for each platform and something said about each.
struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    index: Digest,
    manifests: Vec<Digest>,
    layers: Vec<Digest>,
}

fn put(files: &mut BTreeMap<String, Vec<u8>>, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let descriptor = Descriptor::of(media_type, &bytes);
    files.insert(format!("blobs/sha256/{}", descriptor.digest.hex()), bytes);
    descriptor
}

fn archive(platforms: &[&str]) -> Archive {
    let mut files = BTreeMap::new();
    let (mut entries, mut layers) = (Vec::new(), Vec::new());
    for text in platforms {
        let platform: Platform = text.parse().unwrap();
        let mut writer = Writer::new(Vec::new());
        writer.append_bytes(&Entry::file("platform", 0o644, 0), text.as_bytes()).unwrap();
        let layer = put(&mut files, media::OCI_LAYER, writer.finish().unwrap());
        let mut config = ImageConfig { platform: platform.clone(), ..ImageConfig::default() };
        config.rootfs.diff_ids.push(layer.digest.clone());
        layers.push(layer.digest.clone());
        let config = put(&mut files, media::OCI_CONFIG, serde_json::to_vec(&config).unwrap());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let mut manifest = put(&mut files, media::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap());
        manifest.platform = Some(platform);
        entries.push(manifest);
    }
    let manifests = entries.iter().map(|entry| entry.digest.clone()).collect();
    for about in entries.clone() {
        let statement = json!({"schemaVersion": 2, "about": about.digest, "layers": [], "config":
            put(&mut files, media::OCI_CONFIG, b"{}".to_vec())});
        let mut entry = put(&mut files, media::OCI_MANIFEST, serde_json::to_vec(&statement).unwrap());
        let said = [("vnd.docker.reference.type", "attestation-manifest".to_owned())];
        let subject = [("vnd.docker.reference.digest", about.digest.to_string())];
        entry.annotations = said.into_iter().chain(subject).map(|(k, v)| (k.to_owned(), v)).collect();
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries});
    let mut index = put(&mut files, media::OCI_INDEX, serde_json::to_vec(&index).unwrap());
    index.annotations.insert("io.containerd.image.name".to_owned(), "docker.io/library/app:1".to_owned());
    let top = json!({"schemaVersion": 2, "manifests": [index]});
    files.insert("index.json".to_owned(), serde_json::to_vec(&top).unwrap());
    Archive { files, index: index.digest, manifests, layers }
}

fn platforms(texts: &[&str]) -> Vec<Platform> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn load(images: &Images, archive: &Archive, wanted: &[&str]) -> Result<Loaded> {
    images.load(&mut pack(&archive.files).as_slice(), &platforms(wanted), &mut |_| {})
}

fn keep(images: &Images, archive: &Archive, wanted: &[&str]) -> Arc<Image> {
    let loaded = load(images, archive, wanted).unwrap();
    let image = loaded.images.into_iter().next().unwrap().keep().unwrap().image;
    images.collect_garbage(&images.lock()).unwrap();
    image
}

/// Platforms of an image that are here, the one that is shown first.
fn here(image: &Image) -> Vec<String> {
    let others = image.others.iter().map(|other| other.platform().text());
    std::iter::once(image.platform().text()).chain(others).collect()
}

fn host_and_foreign() -> (String, &'static str) {
    let foreign = if Platform::host().architecture == "s390x" { "linux/ppc64le" } else { "linux/s390x" };
    (Platform::host().text(), foreign)
}

#[test]
fn an_image_is_shown_on_this_machines_platform_if_it_is_here() {
    let (host, foreign) = host_and_foreign();
    let both = archive(&[foreign, &host]);
    let place = Place::new("platform-shown");
    let images = place.open();
    assert_eq!(here(&keep(&images, &both, &[])), [host.as_str(), foreign]);
    drop(images);
    let images = place.open();
    let image = images.find("app:1").unwrap();
    assert_eq!((here(&image), &image.id), (vec![host.clone(), foreign.to_owned()], &both.index));
    let other = image.on(&foreign.parse().unwrap()).unwrap();
    assert_eq!((here(&other), other.diff_ids()), (vec![foreign.to_owned(), host], &both.layers[..1]));
    assert_eq!(image.with_layers(&both.layers[..1]).manifest.digest, both.manifests[0]);
    assert_eq!(image.with_layers(&[]).manifest.digest, image.manifest.digest);
    assert!(image.on(&"linux/riscv64".parse().unwrap()).is_none());
}

#[test]
fn an_image_may_be_here_on_foreign_platforms_only() {
    let (host, foreign) = host_and_foreign();
    let both = archive(&[&host, foreign]);
    let place = Place::new("platform-foreign");
    let images = place.open();
    let image = keep(&images, &both, &[foreign]);
    assert_eq!(here(&image), [foreign]);
    assert!(images.content().size(&both.layers[0]).is_none(), "what was not wanted does not stay");
    drop(images);
    let images = place.open();
    assert!(images.damaged().is_empty());
    assert_eq!(images.find("app:1").unwrap().id, both.index);
    assert_eq!(images.check(false).unwrap().problems, []);
    // The other one comes to it.
    assert_eq!(here(&keep(&images, &both, &[&host])), [host.as_str(), foreign]);
}

#[test]
fn what_was_pulled_last_is_shown() {
    let (host, foreign) = host_and_foreign();
    let both = archive(&[&host, foreign]);
    let place = Place::new("platform-pulled");
    let images = place.open();
    let target = keep(&images, &both, &[]).target.clone();
    let pull = |images: &Images, at: usize| {
        let pending = images.pulled(target.clone(), &both.manifests[at], vec![name("app:1")], images.lease());
        here(&pending.unwrap().keep().unwrap().image)
    };
    assert_eq!(pull(&images, 1), [foreign, &host]);
    drop(images);
    let images = place.open();
    assert_eq!(here(&images.find("app:1").unwrap()), [foreign, &host]);
    // Having it in another way changes nothing; what is removed is not shown.
    assert_eq!(here(&keep(&images, &both, &[])), [foreign, &host]);
    images.remove_platforms("app:1", &platforms(&[foreign]), false, &[]).unwrap();
    assert_eq!(here(&images.find("app:1").unwrap()), [host.as_str()]);
    assert_eq!(here(&keep(&images, &both, &[])), [foreign, &host]);
    assert_eq!(pull(&images, 0), [host.as_str(), foreign]);
    let lost = images.pulled(target.clone(), &both.layers[0], Vec::new(), images.lease());
    assert!(matches!(lost.err().unwrap(), ImageError::MissingBlob { .. }));
}

#[test]
fn platforms_nobody_has_are_told() {
    let (host, foreign) = host_and_foreign();
    let place = Place::new("platform-lacking");
    let images = place.open();
    let loaded = load(&images, &archive(&[&host]), &[foreign]).unwrap();
    assert_eq!((loaded.images.len(), loaded.lacking), (0, vec!["app:1".to_owned()]));
    images.collect_garbage(&images.lock()).unwrap();
    assert_eq!(images.content().list().unwrap(), []);
    keep(&images, &archive(&[&host]), &[]);
    let error = images.select(&["app:1".to_owned()], &platforms(&[foreign])).err().unwrap();
    assert_eq!(error.kind(), model::ErrorKind::NotFound);
    let words = format!(
        "no suitable export target found: image with reference app:1 was found but does not provide the \
         specified platform ({foreign})"
    );
    assert_eq!(error.to_string(), words);
    let error = images.remove_platforms("app:1", &platforms(&[foreign]), false, &[]).unwrap_err();
    assert!(error.to_string().ends_with(&format!("does not provide the specified platform ({foreign})")));
}

#[test]
fn one_platform_or_some_are_saved() {
    let (host, foreign) = host_and_foreign();
    let place = Place::new("platform-save");
    let images = place.open();
    let three = archive(&[&host, foreign, "linux/riscv64"]);
    keep(&images, &three, &[]);
    let save = |wanted: &[&str]| {
        let mut out = Vec::new();
        images.select(&["app".to_owned()], &platforms(wanted)).unwrap().write_to(&mut out).unwrap();
        files(&out)
    };
    let has = |files: &BTreeMap<String, Vec<u8>>| {
        let path = |layer: &Digest| format!("blobs/sha256/{}", layer.hex());
        three.layers.iter().map(|layer| files.contains_key(&path(layer))).collect::<Vec<_>>()
    };
    let top = |files: &BTreeMap<String, Vec<u8>>| {
        let index: oci::image::Index = serde_json::from_slice(&files["index.json"]).unwrap();
        index.manifests[0].digest.clone()
    };
    for (wanted, digest, layers) in [
        (&[][..], &three.index, [true, true, true]),
        (&[foreign], &three.manifests[1], [false, true, false]),
        (&["linux/riscv64", foreign], &three.index, [false, true, true]),
    ] {
        let saved = save(wanted);
        assert_eq!((&top(&saved), has(&saved)), (digest, layers.to_vec()), "{wanted:?}");
        let other = Place::new("platform-save-other");
        let archive = Archive { files: saved, ..archive(&[]) };
        let image = keep(&other.open(), &archive, &[]);
        assert_eq!(here(&image).len(), layers.iter().filter(|there| **there).count());
        assert_eq!(image.repo_tags(), ["app:1"]);
    }
}

#[test]
fn one_platform_after_the_other_is_removed() {
    let (host, foreign) = host_and_foreign();
    let place = Place::new("platform-remove");
    let both = archive(&[&host, foreign]);
    let images = place.open();
    keep(&images, &both, &[]);
    let gone = images.remove_platforms("app:1", &platforms(&[&host]), false, &[]).unwrap();
    assert_eq!(gone, [Removed::Deleted(both.manifests[0].clone())]);
    assert!(images.content().size(&both.layers[0]).is_none());
    drop(images);
    let images = place.open();
    assert_eq!(here(&images.find("app:1").unwrap()), [foreign]);
    assert_eq!(images.check(false).unwrap().problems, []);
    let image = images.find("app:1").unwrap();
    let offered: Vec<_> = images
        .manifests(&image)
        .into_iter()
        .map(|one| {
            let what = match one.kind {
                ManifestKind::Image { platform, variant } => (platform.text(), variant.is_some()),
                ManifestKind::Attestation { about } => (about.to_string(), false),
                ManifestKind::Unknown => (String::new(), false),
            };
            (what, one.content_size > 0)
        })
        .collect();
    let about = |at: usize| both.manifests[at].to_string();
    let expected = [
        ((host.clone(), false), false),
        ((foreign.to_owned(), true), true),
        ((about(0), false), false),
        ((about(1), false), true),
    ];
    assert_eq!(offered, expected);
    // With the last one the image goes.
    let gone = images.remove_platforms("app:1", &platforms(&[foreign]), false, &[]).unwrap();
    let untagged = Removed::Untagged { name: "app:1".to_owned(), image: both.index.clone() };
    assert_eq!(gone, [untagged, Removed::Deleted(both.index.clone())]);
    assert!(images.list().is_empty() && images.content().list().unwrap().is_empty());
    assert!(images.read(|state| !state.names.contains_key(&name("app:1"))));
}
