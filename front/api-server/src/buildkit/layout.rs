//! Images of a client's folder in OCI layout: lent blob by blob, and taken in as an archive that is made on the way.

use std::io::{self, PipeWriter, Read, Write as _};

use archive::{Entry, Writer};
use buildkit::server::Job;
use engine::Engine;
use grpc::{Code, Status};
use oci::image::{Descriptor, Index, Manifest, layout, media};
use oci::{Digest, Platform};
use serde::de::DeserializeOwned;

use super::backend::PassingImage;
use super::{failure, vertex};

/// Longest document, in bytes.
const LONGEST: u64 = 4 << 20;
/// Indexes in each other that are followed.
const DEEPEST: usize = 4;
/// Bytes copied at once.
const BLOCK: usize = 128 << 10;

/// A store of the client's, and what is meant in it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    store: String,
    digest: Digest,
}

impl Place {
    /// Reads `store[:tag]@digest`.
    fn read(text: &str) -> Result<Self, Status> {
        let wrong = || Status::new(Code::InvalidArgument, format!("invalid OCI layout reference {text:?}"));
        let (name, digest) = text.rsplit_once('@').ok_or_else(wrong)?;
        let store = name.split(':').next().filter(|store| !store.is_empty()).ok_or_else(wrong)?;
        // Clients keep their layouts apart from their other stores by this.
        Ok(Self { store: format!("oci:{store}"), digest: digest.parse().map_err(|_| wrong())? })
    }
}

/// Gets the image of a context; it goes when nobody holds it any more.
pub(super) fn load(
    engine: &Engine,
    job: &Job,
    name: &str,
    layout: &str,
    platform: &Platform,
) -> Result<PassingImage, Status> {
    let place = Place::read(layout)?;
    let title = format!("[context {name}] OCI load from client");
    vertex::told(&job.progress, &title, |telling| {
        let lender = Lender { job, store: &place.store };
        let manifest = lender.manifest(&place.digest, platform)?;
        let id = lender.hand_over(engine, &manifest)?;
        telling.part(&format!("{} {}", place.digest, id), "loaded", 0, true);
        Ok(PassingImage::new(engine, id))
    })
}

/// The client, as a store of blobs.
struct Lender<'l> {
    job: &'l Job,
    store: &'l str,
}

impl Lender<'_> {
    /// The manifest of a platform, behind as many indexes as there may be.
    fn manifest(&self, root: &Digest, platform: &Platform) -> Result<Descriptor, Status> {
        let mut wanted = root.clone();
        for _ in 0..DEEPEST {
            let bytes = self.document(&wanted)?;
            let Ok(index) = read::<Index>(&bytes) else {
                read::<Manifest>(&bytes)?;
                return Ok(Descriptor::of(media::OCI_MANIFEST, &bytes));
            };
            if index.manifests.is_empty() {
                let kind = read::<Manifest>(&bytes)?.media_type;
                return Ok(Descriptor::of(kind.as_deref().unwrap_or(media::OCI_MANIFEST), &bytes));
            }
            wanted = choose(&index, platform)?.digest.clone();
        }
        Err(Status::new(Code::InvalidArgument, format!("{root}: too many indexes in each other")))
    }

    /// A document, which is what its digest says.
    fn document(&self, digest: &Digest) -> Result<Vec<u8>, Status> {
        let session = self.job.session()?;
        let missing = || Status::new(Code::NotFound, format!("content {digest}: not found"));
        let size = session.blob_size(self.store, digest.as_str())?.ok_or_else(missing)?;
        if size > LONGEST {
            return Err(Status::new(
                Code::InvalidArgument,
                format!("{digest} is longer than {LONGEST} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        let mut blob = session.read_blob(self.store, digest.as_str(), size, &self.job.cancellation)?;
        blob.read_to_end(&mut bytes).map_err(|error| broken(digest, &error))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(Status::new(Code::DataLoss, format!("{digest}: the client lent something else"))),
        }
    }

    /// Gives the engine all that belongs to a manifest, as an archive in the same layout; the image's id.
    fn hand_over(&self, engine: &Engine, manifest: &Descriptor) -> Result<String, Status> {
        let (mut reader, writer) = io::pipe().map_err(|error| broken(&manifest.digest, &error))?;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || self.write(writer, manifest));
            let mut id = None;
            let loaded = engine.images().load(&mut reader, &[], &mut |progress| {
                id =
                    progress.stream.trim().strip_prefix("Loaded image ID: ").map(str::to_owned).or(id.take());
            });
            // Whoever writes sees that nobody reads any more.
            drop(reader);
            let written = writing
                .join()
                .unwrap_or_else(|_| Err(Status::new(Code::Internal, "lending an image ended unexpectedly")));
            // A client that cannot lend makes an archive that cannot be read: its own words say why.
            written?;
            loaded.map_err(|error| failure::plain(&error))?;
            id.ok_or_else(|| Status::new(Code::Internal, "the image that was lent has no id"))
        })
    }

    fn write(&self, writer: PipeWriter, manifest: &Descriptor) -> Result<(), Status> {
        let mut archive = Writer::new(io::BufWriter::with_capacity(BLOCK, writer));
        let failed = |error: archive::ArchiveError| Status::new(Code::Unknown, model::error::chain(&error));
        let index = Index {
            schema_version: 2,
            media_type: Some(media::OCI_INDEX.to_owned()),
            manifests: vec![manifest.clone()],
            annotations: std::collections::BTreeMap::new(),
        };
        let index = serde_json::to_vec(&index).unwrap_or_default();
        for (name, bytes) in [(layout::FILE, layout::DOCUMENT.as_bytes()), ("index.json", &index)] {
            let entry = Entry::file(name, 0o644, bytes.len() as u64);
            archive.append_bytes(&entry, bytes).map_err(failed)?;
        }
        let document = self.document(&manifest.digest)?;
        let entry = Entry::file(manifest.digest.blob_path(), 0o644, document.len() as u64);
        archive.append_bytes(&entry, &document).map_err(failed)?;
        let parts: Manifest = read(&document)?;
        let session = self.job.session()?;
        for blob in std::iter::once(&parts.config).chain(&parts.layers) {
            let mut lent =
                session.read_blob(self.store, blob.digest.as_str(), blob.size, &self.job.cancellation)?;
            let entry = Entry::file(blob.digest.blob_path(), 0o644, blob.size);
            archive.append(&entry, &mut lent).map_err(failed)?;
        }
        let mut rest = archive.finish().map_err(failed)?;
        rest.flush().map_err(|error| broken(&manifest.digest, &error))
    }
}

/// The manifest for a platform, or the only one there is.
fn choose<'i>(index: &'i Index, platform: &Platform) -> Result<&'i Descriptor, Status> {
    let fits = |manifest: &&Descriptor| manifest.platform.as_ref() == Some(platform);
    let found = index.manifests.iter().find(fits).or(match index.manifests.as_slice() {
        [only] => Some(only),
        _ => None,
    });
    found.ok_or_else(|| Status::new(Code::NotFound, format!("no match for platform {}", platform.text())))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::new(Code::InvalidArgument, format!("a document of the layout: {error}")))
}

fn broken(digest: &Digest, error: &io::Error) -> Status {
    Status::new(Code::Unknown, format!("{digest}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let digest = Digest::of(b"x");
        for text in [format!("store@{digest}"), format!("store:tag@{digest}")] {
            let expected = Place { store: "oci:store".into(), digest: digest.clone() };
            assert_eq!(Place::read(&text).ok(), Some(expected), "{text}");
        }
        for text in ["store", "store@", "store@sha256:12", &format!("@{digest}"), &format!(":tag@{digest}")] {
            assert_eq!(Place::read(text).expect_err(text).code, Code::InvalidArgument);
        }
    }

    #[test]
    fn the_manifest_of_the_platform_is_taken() {
        let descriptor = |platform: &str, bytes: &[u8]| {
            let mut descriptor = Descriptor::of(media::OCI_MANIFEST, bytes);
            descriptor.platform = platform.parse().ok();
            descriptor
        };
        let of = |manifests: Vec<Descriptor>| Index {
            schema_version: 2,
            media_type: None,
            manifests,
            annotations: <_>::default(),
        };
        let (amd, arm) = (descriptor("linux/amd64", b"1"), descriptor("linux/arm64", b"2"));
        let two = of(vec![amd.clone(), arm.clone()]);
        let chosen = |index: &Index, platform: &str| {
            let platform = platform.parse().expect("a platform");
            choose(index, &platform).map(|manifest| manifest.digest.clone()).map_err(|status| status.code)
        };
        assert_eq!(chosen(&two, "linux/arm64"), Ok(arm.digest));
        assert_eq!(chosen(&two, "linux/s390x"), Err(Code::NotFound));
        assert_eq!(chosen(&of(vec![amd.clone()]), "linux/s390x"), Ok(amd.digest), "there is nothing else");
    }
}
