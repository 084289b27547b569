//! Takes in archives of images: OCI layouts, Docker's `manifest.json` ones, and both in one.

mod docker;
mod layout;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use archive::{Entry, EntryKind};
use oci::digest::Algorithm;
use oci::image::Descriptor;
use oci::{Digest, Reference};
use serde::de::DeserializeOwned;

use crate::content::DOCUMENT_LIMIT;
use crate::error::{Result, file_error};
use crate::{Image, ImageError, Images};

/// Files in an archive of images; far more than the layers of any.
const FILES: usize = 100_000;

/// What is going on while an archive is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// So many bytes of a file are in.
    Progress {
        /// The file in the archive.
        file: String,
        /// Bytes in.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// An image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image, with all its names.
    pub image: Arc<Image>,
    /// The names the archive gave it.
    pub names: Vec<Reference>,
    /// Images that lost a name to it.
    pub replaced: Vec<(Reference, Digest)>,
}

/// An image found in an archive.
pub(crate) struct Candidate {
    target: Descriptor,
    names: Vec<Reference>,
    parent: Option<Digest>,
}

/// The archive as it came in: blobs in the content store, known by their paths.
pub(crate) struct Contents {
    files: HashMap<PathBuf, (Digest, u64)>,
    links: HashMap<PathBuf, PathBuf>,
}

impl Images {
    /// Takes in all images of a tar stream, compressed or not. Blobs are hashed while they are written; nothing is
    /// visible before the whole archive is in and every image of it is complete.
    pub fn load(
        &self,
        stream: &mut (dyn Read + Send),
        event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Vec<Loaded>> {
        let lease = self.lease();
        let loaded = self.load_leased(stream, event);
        drop(lease);
        if loaded.is_err() {
            // What came in until then belongs to nobody.
            self.collect_garbage(&self.lock())?;
        }
        loaded
    }

    fn load_leased(
        &self,
        stream: &mut (dyn Read + Send),
        event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Vec<Loaded>> {
        let contents = self.take_in(stream, event)?;
        let mut candidates = layout::candidates(self, &contents)?;
        docker::complete(self, &contents, &mut candidates)?;
        if candidates.is_empty() {
            return Err(ImageError::Unrecognized);
        }
        for candidate in &candidates {
            self.check(candidate)?;
        }
        candidates.into_iter().map(|candidate| self.keep(candidate)).collect()
    }

    fn keep(&self, candidate: Candidate) -> Result<Loaded> {
        let id = &candidate.target.digest;
        let before = self.read(|state| {
            let names = candidate.names.iter();
            names
                .filter_map(|name| state.names.get(name).map(|id| (name.clone(), id.clone())))
                .collect::<Vec<_>>()
        });
        let replaced = before.into_iter().filter(|(_, old)| old != id).collect();
        let image = self.add(candidate.target, candidate.parent, &candidate.names)?;
        Ok(Loaded { image, names: candidate.names, replaced })
    }

    /// Whether everything of an image is there and fits together.
    fn check(&self, candidate: &Candidate) -> Result<()> {
        let record =
            crate::record::Record { target: candidate.target.clone(), parent: None, last_tagged: None };
        let image = record.image(self.content(), self.platform())?;
        for layer in &image.layers {
            if self.content().size(&layer.blob.digest).is_none() {
                return Err(ImageError::MissingBlob { digest: layer.blob.digest.clone() });
            }
            let uncompressed =
                !layer.blob.media_type.contains("gzip") && !layer.blob.media_type.contains("zstd");
            if uncompressed
                && layer.blob.digest != layer.diff_id
                && !self.is_compressed(&layer.blob.digest)?
            {
                let expected = layer.diff_id.clone();
                return Err(ImageError::Mismatch { expected, found: layer.blob.digest.clone() });
            }
        }
        Ok(())
    }

    fn is_compressed(&self, digest: &Digest) -> Result<bool> {
        let mut start = Vec::new();
        let blob = self.content().open_blob(digest)?;
        blob.take(6).read_to_end(&mut start).map_err(file_error("read", &self.content().path(digest)))?;
        Ok(archive::Compression::detect(&start) != archive::Compression::None)
    }

    fn take_in(&self, stream: &mut (dyn Read + Send), event: &mut dyn FnMut(LoadEvent)) -> Result<Contents> {
        let mut reader = archive::Reader::new(archive::Decoder::new(stream)?, archive::Limits::DEFAULT);
        let mut contents = Contents { files: HashMap::new(), links: HashMap::new() };
        while let Some(entry) = reader.next_entry()? {
            let path = inside(&entry.path);
            if contents.files.len() + contents.links.len() >= FILES {
                return Err(archive::ArchiveError::Limit { what: "files", limit: FILES as u64 }.into());
            }
            match entry.kind {
                EntryKind::File => {
                    let blob = self.take_in_file(&entry, &path, &mut reader, event)?;
                    contents.files.insert(path, blob);
                }
                EntryKind::Symlink => {
                    let directory = path.parent().unwrap_or(Path::new(""));
                    contents.links.insert(path.clone(), inside(&directory.join(&entry.link)));
                }
                EntryKind::HardLink => {
                    contents.links.insert(path, inside(Path::new(&entry.link)));
                }
                _ => {}
            }
        }
        reader.drain()?;
        Ok(contents)
    }

    /// A file below `blobs/` says which digest it has.
    fn take_in_file(
        &self,
        entry: &Entry,
        path: &Path,
        reader: &mut impl Read,
        event: &mut dyn FnMut(LoadEvent),
    ) -> Result<(Digest, u64)> {
        let expected = expected_digest(path);
        if let Some(digest) = &expected
            && self.content().size(digest) == Some(entry.size)
        {
            // It is here already; what the archive has under the same digest does not matter.
            io::copy(reader, &mut io::sink()).map_err(archive::ArchiveError::Read)?;
            return Ok((digest.clone(), entry.size));
        }
        let algorithm = expected.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let mut ingest = self.content().ingest(algorithm)?;
        let file = path.to_string_lossy().into_owned();
        let mut buffer = vec![0; 512 << 10];
        loop {
            let count = reader.read(&mut buffer).map_err(archive::ArchiveError::Read)?;
            if count == 0 {
                break;
            }
            let write = io::Write::write_all(&mut ingest, buffer.get(..count).unwrap_or_default());
            write.map_err(file_error("write", path))?;
            event(LoadEvent::Progress { file: file.clone(), current: ingest.size(), total: entry.size });
        }
        ingest.finish(expected.as_ref())
    }
}

impl Contents {
    /// The blob at a path of the archive; links are followed.
    pub(crate) fn blob(&self, path: &str) -> Option<&(Digest, u64)> {
        let mut path = inside(Path::new(path));
        for _ in 0..8 {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        self.files.get(&path)
    }

    /// A document at a path of the archive; none when there is no such file.
    pub(crate) fn document<D: DeserializeOwned>(&self, images: &Images, path: &str) -> Result<Option<D>> {
        let Some((digest, size)) = self.blob(path) else { return Ok(None) };
        if *size > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge { what: path.to_owned(), limit: DOCUMENT_LIMIT });
        }
        let bytes = images.content().read(digest)?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ImageError::Document { what: path.to_owned(), source })
    }
}

/// A path of the archive without `.`, `..` and leading slashes: only a key, never a path of the machine.
fn inside(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

fn expected_digest(path: &Path) -> Option<Digest> {
    let rest = path.to_str()?.strip_prefix("blobs/")?;
    let (algorithm, hex) = rest.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
