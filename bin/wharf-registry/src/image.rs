//! This program as the only file of an image: an OCI layout that also has Docker's manifest.json.

use std::io::Write;

use archive::{Entry, EntryKind, Writer};
use oci::digest::Digest;
use oci::image::{ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME, Descriptor, media};
use oci::platform::Platform;
use oci::reference::Reference;
use serde_json::json;

/// Writes the image as an archive that `load` takes. The same program gives the same bytes.
///
/// # Errors
/// With what can't be read or written.
pub(crate) fn write(name: &str, output: &mut dyn Write) -> Result<(), String> {
    let name: Reference = name.parse().map_err(|error| format!("{name}: {error}"))?;
    let program = std::fs::read("/proc/self/exe").map_err(|error| format!("read this program: {error}"))?;
    let image = Image::of(&program, &name.or_latest()).map_err(text)?;
    let mut archive = Writer::new(output);
    let folder = |path: &str| Entry::new(path, EntryKind::Directory, 0o755);
    for path in ["blobs", "blobs/sha256"] {
        archive.append_empty(&folder(path)).map_err(text)?;
    }
    for blob in [&image.layer, &image.config, &image.manifest] {
        let path = format!("blobs/sha256/{}", Digest::of(blob).hex());
        archive.append_bytes(&Entry::new(path, EntryKind::File, 0o644), blob).map_err(text)?;
    }
    for (path, value) in &image.documents {
        let entry = Entry::new(*path, EntryKind::File, 0o644);
        archive.append_bytes(&entry, value.to_string().as_bytes()).map_err(text)?;
    }
    archive.finish().map(drop).map_err(text)
}

fn text(error: impl std::error::Error + 'static) -> String {
    model::error::chain(&error)
}

struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    /// The other files by their names.
    documents: Vec<(&'static str, serde_json::Value)>,
}

impl Image {
    fn of(program: &[u8], name: &Reference) -> Result<Self, archive::ArchiveError> {
        let layer = layer(program)?;
        let platform = Platform::host();
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {
                "Entrypoint": ["/wharf-registry"],
                "Cmd": ["serve"],
                "ExposedPorts": {"5000/tcp": {}},
                "Volumes": {"/var/lib/registry": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).as_str()]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "wharf-registry image"}],
        })
        .to_string()
        .into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": Descriptor::of(media::OCI_CONFIG, &config),
            "layers": [Descriptor::of(media::OCI_LAYER, &layer)],
        })
        .to_string()
        .into_bytes();
        let mut listed = Descriptor::of(media::OCI_MANIFEST, &manifest);
        listed.annotations.insert(ANNOTATION_IMAGE_NAME.to_owned(), name.canonical());
        listed.annotations.insert(ANNOTATION_REF_NAME.to_owned(), name.tag().unwrap_or_default().to_owned());
        let path = |blob: &[u8]| format!("blobs/sha256/{}", Digest::of(blob).hex());
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [listed]});
        let docker = json!([{
            "Config": path(&config), "RepoTags": [name.familiar()], "Layers": [path(&layer)],
        }]);
        let documents = vec![
            ("index.json", index),
            ("manifest.json", docker),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ];
        Ok(Self { layer, config, manifest, documents })
    }
}

/// The file system: the program, and a folder for what it keeps.
fn layer(program: &[u8]) -> Result<Vec<u8>, archive::ArchiveError> {
    let mut archive = Writer::new(Vec::new());
    for (path, mode) in [("tmp", 0o1777), ("var", 0o755), ("var/lib", 0o755), ("var/lib/registry", 0o700)] {
        archive.append_empty(&Entry::new(path, EntryKind::Directory, mode))?;
    }
    archive.append_bytes(&Entry::new("wharf-registry", EntryKind::File, 0o755), program)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_same_each_time_and_names_itself() {
        let name: Reference = "registry".parse::<Reference>().unwrap().or_latest();
        let (first, second) = (Image::of(b"p", &name).unwrap(), Image::of(b"p", &name).unwrap());
        assert_eq!(first.manifest, second.manifest);
        let docker = first.documents.iter().find(|(path, _)| *path == "manifest.json").unwrap();
        assert_eq!(docker.1[0]["RepoTags"][0], "registry:latest");
        let layer = archive::Reader::new(&*first.layer, archive::Limits::DEFAULT).next_entry().unwrap();
        assert!(layer.is_some());
    }
}
