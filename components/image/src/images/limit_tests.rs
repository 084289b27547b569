//! Each limit of the table: what is below it and at it is taken in, what is above is refused and leaves nothing.

use super::tests::{Place, load, pack};
use super::*;
use crate::limits::Expansion;
use oci::image::{ImageConfig, media};
use std::collections::BTreeMap;
use std::io::Write;

/// What an archive has of everything that is limited.
#[derive(Clone, Copy)]
struct Shape {
    layers: usize,
    manifests: usize,
    depth: usize,
    /// Bytes of the configuration.
    config: usize,
    /// Uncompressed bytes of each layer, all zero.
    zeros: usize,
    /// Files besides those of the image.
    files: usize,
}

const PLAIN: Shape = Shape { layers: 1, manifests: 1, depth: 0, config: 0, zeros: 100, files: 0 };

struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.0.insert(format!("blobs/sha256/{}", descriptor.digest.hex()), bytes);
        descriptor
    }

    fn document(&mut self, media_type: &str, document: &serde_json::Value) -> Descriptor {
        self.blob(media_type, serde_json::to_vec(document).unwrap())
    }
}

fn layout(shape: Shape) -> Layout {
    let mut layout = Layout(BTreeMap::new());
    let mut config = ImageConfig { platform: Platform::host(), ..ImageConfig::default() };
    let mut layers = Vec::new();
    for number in 0..shape.layers {
        let mut writer = archive::Writer::new(Vec::new());
        let entry = archive::Entry::file(format!("file-{number}").as_str(), 0o644, 0);
        writer.append_bytes(&entry, &vec![0; shape.zeros]).unwrap();
        let tar = writer.finish().unwrap();
        config.rootfs.diff_ids.push(Digest::of(&tar));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&tar).unwrap();
        layers.push(layout.blob(media::OCI_LAYER_GZIP, gzip.finish().unwrap()));
    }
    let mut bytes = serde_json::to_vec(&config).unwrap();
    bytes.resize(bytes.len().max(shape.config), b' ');
    let config = layout.blob(media::OCI_CONFIG, bytes);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers,
    });
    let mut top = layout.document(media::OCI_MANIFEST, &manifest);
    for level in 0..shape.depth {
        let mut manifests = vec![top];
        // The others are for machines of another kind, and not in the archive.
        for number in 1..if level == 0 { shape.manifests } else { 1 } {
            let mut other = Descriptor::of(media::OCI_MANIFEST, &number.to_le_bytes());
            other.platform = Some("linux/s390x".parse().unwrap());
            manifests.push(other);
        }
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests,
        });
        top = layout.document(media::OCI_INDEX, &index);
    }
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [top] });
    layout.0.insert("index.json".to_owned(), serde_json::to_vec(&index).unwrap());
    for number in 0..shape.files {
        layout.0.insert(format!("more/{number:04}"), Vec::new());
    }
    layout
}

/// Loads and reads all layers, as unpacking does.
fn take_in(limits: Limits, bytes: &[u8]) -> std::result::Result<(), String> {
    static COUNTER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let place = Place::new(&format!("limit-{number}"));
    let images = Images::open_with(&place.path, place.store.clone(), limits).unwrap();
    let result = load(&images, bytes).map_err(|error| model::error::chain(&error)).and_then(|loaded| {
        for index in 0..loaded[0].image.layers.len() {
            let mut layer = images.open_layer(&loaded[0].image, index).map_err(|error| error.to_string())?;
            io::copy(&mut layer, &mut io::sink()).map_err(|error| error.to_string())?;
        }
        Ok(())
    });
    if images.list().is_empty() {
        assert_eq!(images.content().list().unwrap(), [], "what is refused leaves nothing");
    }
    result
}

#[test]
fn each_limit_holds_at_its_value() {
    type Set = fn(&mut Limits, usize);
    type Make = fn(usize) -> Shape;
    let cases: [(&str, usize, Set, Make); 6] = [
        ("layers", 3, |limits, value| limits.layers = value, |layers| Shape { layers, ..PLAIN }),
        (
            "manifests",
            3,
            |limits, value| limits.manifests = value,
            |manifests| Shape { manifests, depth: 1, ..PLAIN },
        ),
        ("index depth", 2, |limits, value| limits.index_depth = value, |depth| Shape { depth, ..PLAIN }),
        (
            "document",
            2000,
            |limits, value| limits.document = value as u64,
            |config| Shape { config, ..PLAIN },
        ),
        (
            "files",
            9,
            |limits, value| limits.archive.entries = value as u64,
            // Beside layer, configuration, manifest and index.json.
            |files| Shape { files: files - 4, ..PLAIN },
        ),
        (
            "expansion",
            64 << 10,
            |limits, value| limits.expansion = Expansion { ratio: 2, allowance: value as u64 },
            // A header and two blocks at the end belong to the tar.
            |bytes| Shape { zeros: (bytes - 1536) / 512 * 512 + usize::from(bytes % 512 > 0) * 512, ..PLAIN },
        ),
    ];
    for (what, limit, set, make) in cases {
        let mut limits = Limits::DEFAULT;
        set(&mut limits, limit);
        for value in [limit - 1, limit] {
            assert_eq!(take_in(limits, &pack(&layout(make(value)).0)), Ok(()), "{what} {value}");
        }
        let refused = take_in(limits, &pack(&layout(make(limit + 1)).0));
        assert!(refused.is_err(), "{what} {}", limit + 1);
    }
}

#[test]
fn what_is_no_image_of_ours_is_refused_by_name() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (from, to) in [
        (media::OCI_LAYER_GZIP, foreign),
        (media::OCI_LAYER_GZIP, "application/vnd.example.layer"),
        (media::OCI_CONFIG, "application/vnd.example.chart.config.v1+json"),
    ] {
        let mut layout = layout(PLAIN);
        let (path, manifest) = layout
            .0
            .iter()
            .find(|(_, bytes)| bytes.windows(9).any(|part| part == b"\"layers\":"))
            .map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap()))
            .unwrap();
        layout.0.remove(&path);
        let changed = layout.blob(media::OCI_MANIFEST, manifest.replace(from, to).into_bytes());
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [changed] });
        layout.0.insert("index.json".to_owned(), serde_json::to_vec(&index).unwrap());
        let refused = take_in(Limits::DEFAULT, &pack(&layout.0)).unwrap_err();
        assert!(refused.contains(to), "{refused}");
    }
}

#[test]
fn a_name_with_two_contents_is_refused() {
    let mut bytes = pack(&layout(PLAIN).0);
    bytes.truncate(bytes.len() - 1024);
    let mut writer = archive::Writer::new(bytes);
    writer.append_bytes(&archive::Entry::file("./index.json", 0o644, 0), b"{}").unwrap();
    let refused = take_in(Limits::DEFAULT, &writer.finish().unwrap()).unwrap_err();
    assert!(refused.contains("index.json") && refused.contains("twice"), "{refused}");
}
