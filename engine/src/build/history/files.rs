//! Remembered builds on disk: a file each, with the record in its first line and what the build said behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use oci::Digest;
use store::Durability;

use super::PastBuild;
use crate::error::Context as _;
use crate::{Error, Result};

/// Bytes of a record at most.
const LONGEST_RECORD: u64 = 64 << 20;

/// The folder.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Opens the folder, made if it is not there, and reads the records by their references. What is no record's file
    /// goes: nothing depends on it.
    pub(super) fn open(folder: PathBuf) -> Result<(Self, BTreeMap<String, PastBuild>)> {
        store::file::make_private_dir(&folder).doing(|| format!("making {}", folder.display()))?;
        let files = Self { folder };
        let mut known = BTreeMap::new();
        for entry in std::fs::read_dir(&files.folder).into_iter().flatten().flatten() {
            let record = read_record(&entry.path()).map(|(build, _)| build);
            match record.filter(|build| files.path(&build.reference) == entry.path()) {
                Some(build) => drop(known.insert(build.reference.clone(), build)),
                // What cannot be removed now is found by the next start.
                None => drop(std::fs::remove_file(entry.path())),
            }
        }
        Ok((files, known))
    }

    /// Writes a build instead of what was there by its reference.
    pub(super) fn write(&self, build: &PastBuild, log: &[u8], durability: Durability) -> Result<()> {
        let path = self.path(&build.reference);
        // A document of one line: text in it has no line ends of its own.
        let mut bytes = serde_json::to_vec(build)
            .map_err(|error| Error::caused(format!("encoding {}", path.display()), error))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(log);
        store::file::replace(&path, &bytes, durability).map_err(Error::from_kinded)
    }

    /// What a build said; nothing when it is not there.
    pub(super) fn log(&self, reference: &str) -> Result<Vec<u8>> {
        let mut log = Vec::new();
        if let Some((_, mut file)) = read_record(&self.path(reference)) {
            file.read_to_end(&mut log).doing(|| format!("reading what build {reference} said"))?;
        }
        Ok(log)
    }

    /// Removes a build; a missing one is no error.
    pub(super) fn remove(&self, reference: &str, durability: Durability) -> Result<()> {
        let path = self.path(reference);
        if durability == Durability::Durable {
            return store::file::remove(&path).map_err(Error::from_kinded);
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::caused(format!("removing {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// References are whatever clients call their builds.
    pub(super) fn path(&self, reference: &str) -> PathBuf {
        self.folder.join(Digest::of(reference.as_bytes()).hex())
    }
}

/// The record in a file, and the file behind it.
fn read_record(path: &Path) -> Option<(PastBuild, BufReader<File>)> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut line = Vec::new();
    file.by_ref().take(LONGEST_RECORD).read_until(b'\n', &mut line).ok()?;
    Some((serde_json::from_slice(&line).ok()?, file))
}
