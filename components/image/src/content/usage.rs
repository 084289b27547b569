//! Room the content takes on disk.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use oci::Digest;

use super::{ALGORITHMS, Content};
use crate::error::{Result, file_error};

/// Bytes on disk, as `du` counts them, of files that have no name elsewhere: a layer's tar that the snapshot driver keeps
/// under a second name is counted there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentUsage {
    /// By blob.
    pub blobs: HashMap<Digest, u64>,
    /// Blobs that are not whole yet, and those that wait for their image.
    pub partial: u64,
}

impl ContentUsage {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.blobs.values().sum::<u64>() + self.partial
    }

    /// Of some blobs.
    pub fn of<'a>(&self, blobs: impl IntoIterator<Item = &'a Digest>) -> u64 {
        blobs.into_iter().filter_map(|blob| self.blobs.get(blob)).sum()
    }
}

impl Content {
    /// Measures all files.
    pub fn usage(&self) -> Result<ContentUsage> {
        let mut usage = ContentUsage::default();
        let mut names: HashMap<u64, u64> = HashMap::new();
        for algorithm in ALGORITHMS {
            for (_, metadata) in files(&self.partial_dir(algorithm))? {
                usage.partial += metadata.blocks() * 512;
                *names.entry(metadata.ino()).or_default() += 1;
            }
            for (name, metadata) in files(&self.blob_dir(algorithm))? {
                let also_partial = names.get(&metadata.ino()).copied().unwrap_or(0);
                let elsewhere = metadata.nlink() > 1 + also_partial;
                if let Ok(digest) = format!("{}:{name}", algorithm.name()).parse::<Digest>()
                    && also_partial == 0
                {
                    usage.blobs.insert(digest, if elsewhere { 0 } else { metadata.blocks() * 512 });
                }
            }
        }
        for (_, metadata) in files(&self.ingest_dir())? {
            usage.partial += metadata.blocks() * 512;
        }
        Ok(usage)
    }
}

fn files(directory: &std::path::Path) -> Result<Vec<(String, std::fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(file_error("list", directory))? {
        let entry = entry.map_err(file_error("list", directory))?;
        // What disappears while it is measured does not count.
        if let Ok(metadata) = entry.metadata() {
            found.push((entry.file_name().to_string_lossy().into_owned(), metadata));
        }
    }
    Ok(found)
}
