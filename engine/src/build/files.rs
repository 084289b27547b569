//! What is in an image that was built, for whoever wants it as files.

use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd as _;
use std::path::Path;

use archive::{Entry, EntryKind};
use linux::root::RootDir;
use oci::Digest;
use oci::digest::{Algorithm, Digester};

use super::Builds;
use crate::error::Context;
use crate::{Error, Result};

/// Bytes handed on at once.
const BLOCK: usize = 64 << 10;

impl Builds<'_> {
    /// The configuration of an image as it is stored; none when there is no such image.
    pub fn image_config(&self, id: &str) -> Option<Vec<u8>> {
        let images = &self.inner.storage.images;
        let image = images.find(id).ok()?;
        images.content().read(&image.config_digest).ok()
    }

    /// The files of an image, to be read.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be mounted.
    pub fn files(&self, id: &str) -> Result<RootDir> {
        let storage = &self.inner.storage;
        let image = storage.images.find(id).map_err(Error::from_kinded)?;
        let blob = |index: usize| image.layers.get(index).map(|layer| layer.blob.digest.clone());
        storage.open_layers(image.diff_ids(), &blob)
    }

    /// Writes the files of images as one tar, each below its folder if that has a name, with more files beside them. With a
    /// time (seconds since 1970) all files have that one.
    ///
    /// # Errors
    /// When there is no such image, or whoever takes the tar takes no more.
    pub fn write_files(&self, trees: &[Files], time: Option<i64>, out: &mut dyn Write) -> Result<()> {
        let mut out = BufWriter::with_capacity(BLOCK, out);
        match trees {
            [one] if one.is_plain() && time.is_none() => {
                let root = self.files(&one.image)?;
                archive::write_tree(root.as_fd(), &archive::TreeOptions::whole(), &mut out)
                    .map_err(Error::from_kinded)?;
            }
            trees => {
                let mut writer = archive::Writer::new(&mut out);
                for tree in trees {
                    self.append(tree, time, &mut writer)?;
                }
                writer.finish().map_err(Error::from_kinded)?;
            }
        }
        out.flush().doing(|| "writing the files of an image".to_owned())
    }

    /// The digests of an image's plain files, by their paths.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be read.
    pub fn file_digests(&self, id: &str) -> Result<Vec<(String, Digest)>> {
        let root = self.files(id)?;
        let (read, write) = std::io::pipe().doing(|| "making a pipe".to_owned())?;
        let found = std::thread::scope(|scope| {
            let walk = scope.spawn(move || {
                let mut out = BufWriter::with_capacity(BLOCK, write);
                archive::write_tree(root.as_fd(), &archive::TreeOptions::whole(), &mut out)?;
                out.flush().map_err(archive::ArchiveError::Write)
            });
            let found = digests(BufReader::with_capacity(BLOCK, read));
            let walked = walk.join().unwrap_or(Err(archive::ArchiveError::Truncated));
            found.and_then(|found| walked.map(|()| found))
        });
        found.map_err(Error::from_kinded)
    }

    fn append<W: Write>(
        &self,
        tree: &Files,
        time: Option<i64>,
        writer: &mut archive::Writer<W>,
    ) -> Result<()> {
        let root = self.files(&tree.image)?;
        let prefix = Path::new(&tree.folder);
        let timed = |mut entry: Entry| {
            if let Some(time) = time {
                (entry.seconds, entry.nanoseconds) = (time, 0);
            }
            entry
        };
        if !tree.folder.is_empty() {
            let folder = timed(Entry::directory(prefix, 0o755));
            writer.append_empty(&folder).map_err(Error::from_kinded)?;
        }
        let change = &mut |entry: &mut Entry| {
            let placed = |path: &Path| prefix.join(path);
            entry.path = placed(&entry.path);
            if entry.kind == EntryKind::HardLink {
                entry.link = placed(Path::new(&entry.link)).into_os_string();
            }
            *entry = timed(entry.clone());
        };
        let (read, write) = std::io::pipe().doing(|| "making a pipe".to_owned())?;
        let written = std::thread::scope(|scope| {
            let walk = scope.spawn(move || {
                let mut out = BufWriter::with_capacity(BLOCK, write);
                archive::write_tree(root.as_fd(), &archive::TreeOptions::whole(), &mut out)?;
                out.flush().map_err(archive::ArchiveError::Write)
            });
            let read = BufReader::with_capacity(BLOCK, read);
            let appended = archive::rewrite::append_all(read, writer, change);
            let walked = walk.join().unwrap_or(Err(archive::ArchiveError::Truncated));
            // Why there is no tree says more than that its stream ended early, but not when nobody took it.
            appended.and(walked)
        });
        written.map_err(Error::from_kinded)?;
        for (name, bytes) in &tree.more {
            let entry = timed(Entry::file(prefix.join(name), 0o644, 0));
            writer.append_bytes(&entry, bytes).map_err(Error::from_kinded)?;
        }
        Ok(())
    }
}

fn digests(tar: impl Read) -> std::result::Result<Vec<(String, Digest)>, archive::ArchiveError> {
    let mut reader = archive::Reader::new(tar, archive::Limits::DEFAULT);
    let mut found = Vec::new();
    let mut block = vec![0; BLOCK];
    while let Some(entry) = reader.next_entry()? {
        if entry.kind != EntryKind::File {
            continue;
        }
        let mut digester = Digester::new(Algorithm::Sha256);
        loop {
            let count = reader.read(&mut block).map_err(archive::ArchiveError::Read)?;
            if count == 0 {
                break;
            }
            digester.update(block.get(..count).unwrap_or_default());
        }
        let path = entry.path.to_string_lossy();
        found.push((path.trim_start_matches("./").to_owned(), digester.finish()));
    }
    reader.drain()?;
    Ok(found)
}

/// The files of one image in a tar of several.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The image's id.
    pub image: String,
    /// The folder they are put in; none for an empty name.
    pub folder: String,
    /// More files, by their names.
    pub more: BTreeMap<String, Vec<u8>>,
}

impl Files {
    fn is_plain(&self) -> bool {
        self.folder.is_empty() && self.more.is_empty()
    }
}
