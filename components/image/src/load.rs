//! Takes in archives of images: OCI layouts, Docker's `manifest.json` ones, and both in one.

mod docker;
mod layout;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use archive::{Entry, EntryKind};
use oci::digest::Algorithm;
use oci::image::Descriptor;
use oci::{Digest, Platform, Reference};
use serde::de::DeserializeOwned;

use crate::error::{Result, file_error};
use crate::ratio::Inflated;
use crate::record::{Record, without};
use crate::{ImageError, Images, Pending};

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

/// What came of an archive.
#[derive(Default)]
pub struct Loaded {
    /// The images.
    pub images: Vec<Pending>,
    /// Names of those that are on none of the platforms that were asked for.
    pub lacking: Vec<String>,
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
    /// Takes in the images of a tar stream, compressed or not, on all platforms it has or only on some. Blobs are hashed
    /// while they are written; nothing is visible before the whole archive is in, every image of it is complete, and the
    /// caller keeps them.
    pub fn load(
        &self,
        stream: &mut (dyn Read + Send),
        platforms: &[Platform],
        event: &mut dyn FnMut(LoadEvent),
    ) -> Result<Loaded> {
        let _lease = self.lease();
        let contents = self.take_in(stream, event)?;
        let mut candidates = layout::candidates(self, &contents)?;
        docker::complete(self, &contents, &mut candidates)?;
        if candidates.is_empty() {
            return Err(ImageError::Unrecognized);
        }
        let mut loaded = Loaded::default();
        for candidate in candidates {
            self.look_at(candidate, platforms, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn look_at(&self, candidate: Candidate, platforms: &[Platform], loaded: &mut Loaded) -> Result<()> {
        let mut record = Record::new(candidate.target, candidate.parent);
        let mut wanted = None;
        if !platforms.is_empty() {
            let (image, _) = record.read(self.content(), self.platform())?;
            // The one for this machine is unpacked rather than others.
            wanted = platforms.iter().find(|one| one.accepts(self.platform()) && image.on(one).is_some());
            wanted = wanted.or_else(|| platforms.iter().find(|one| image.on(one).is_some()));
            if wanted.is_none() {
                let name = candidate.names.first().map_or_else(|| image.id.to_string(), Reference::familiar);
                loaded.lacking.push(name);
                return Ok(());
            }
            record.left_out = without(self.content(), &record.target, &image, platforms)?;
        }
        loaded.images.push(Pending::new(self, record, candidate.names, wanted, self.lease())?);
        Ok(())
    }

    fn take_in(&self, stream: &mut (dyn Read + Send), event: &mut dyn FnMut(LoadEvent)) -> Result<Contents> {
        let limits = self.content().limits();
        let mut reader = archive::Reader::new(Inflated::new(stream, limits.expansion)?, limits.archive);
        let mut contents = Contents { files: HashMap::new(), links: HashMap::new() };
        while let Some(entry) = reader.next_entry()? {
            let path = inside(&entry.path);
            match entry.kind {
                EntryKind::File => {
                    let blob = self.take_in_file(&entry, &path, &mut reader, event)?;
                    contents.add(path, blob)?;
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
    /// Two readers could take different ones of two files with one name.
    fn add(&mut self, path: PathBuf, blob: (Digest, u64)) -> Result<()> {
        match self.files.get(&path) {
            Some(known) if *known != blob => Err(ImageError::Inconsistent {
                what: path.display().to_string(),
                reason: "twice in the archive, with other bytes",
            }),
            Some(_) => Ok(()),
            None => {
                self.files.insert(path, blob);
                Ok(())
            }
        }
    }

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
        let limit = images.content().limits().document;
        if *size > limit {
            return Err(ImageError::TooLarge { what: path.to_owned(), limit });
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
