//! What is kept on disk: network records for good, endpoints of living containers as long as the machine runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::EndpointId;
use serde::{Deserialize, Serialize};

use crate::{Endpoint, Network};

const VERSION: u32 = 1;
const NETWORKS: &str = "networks.json";

#[derive(Debug, Serialize, Deserialize)]
struct NetworksFile {
    version: u32,
    networks: Vec<Network>,
}

/// The files of one engine's networks.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    durable: PathBuf,
    endpoints: PathBuf,
}

/// A file that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("network file {}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Files {
    /// The files below the engine's two directories, which are made where missing.
    pub(crate) fn open(data_root: &Path, exec_root: &Path) -> Result<Self, FileError> {
        let files = Self {
            durable: data_root.join("network"),
            endpoints: exec_root.join("network").join("endpoints"),
        };
        for directory in [&files.durable, &files.endpoints] {
            make_private_directory(directory)
                .map_err(|source| FileError { path: directory.clone(), source })?;
        }
        Ok(files)
    }

    /// All network records; none before the first start. A file that is none of ours is renamed, and its new name told.
    pub(crate) fn networks(&self) -> Result<(Vec<Network>, Option<PathBuf>), FileError> {
        let path = self.durable.join(NETWORKS);
        let text = match std::fs::read(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
            Err(source) => return Err(FileError { path, source }),
            Ok(text) => text,
        };
        if let Ok(file) = serde_json::from_slice::<NetworksFile>(&text) {
            return Ok((file.networks, None));
        }
        let aside = self.durable.join(format!("{NETWORKS}.unreadable-{}", model::Timestamp::now().seconds()));
        std::fs::rename(&path, &aside).map_err(|source| FileError { path, source })?;
        Ok((Vec::new(), Some(aside)))
    }

    /// Replaces the network records, durably.
    pub(crate) fn write_networks(&self, networks: Vec<Network>) -> Result<(), FileError> {
        let path = self.durable.join(NETWORKS);
        let failed = |source| FileError { path: path.clone(), source };
        let bytes = serde_json::to_vec_pretty(&NetworksFile { version: VERSION, networks })
            .map_err(|error| failed(error.into()))?;
        replace(&path, &bytes).map_err(failed)?;
        std::fs::File::open(&self.durable).and_then(|directory| directory.sync_all()).map_err(failed)
    }

    fn endpoint_path(&self, id: &EndpointId) -> PathBuf {
        self.endpoints.join(format!("{id}.json"))
    }

    /// Endpoints a predecessor left. A file that is no endpoint is removed: its container is gone or will be released
    /// by its id.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, FileError> {
        let failed = |source| FileError { path: self.endpoints.clone(), source };
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.endpoints).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
                Some(endpoint) => all.push(endpoint),
                None => drop(std::fs::remove_file(&path)),
            }
        }
        Ok(all)
    }

    /// Remembers an endpoint.
    pub(crate) fn write_endpoint(&self, endpoint: &Endpoint) -> Result<(), FileError> {
        let path = self.endpoint_path(&endpoint.id);
        let failed = |source| FileError { path: path.clone(), source };
        let bytes = serde_json::to_vec(endpoint).map_err(|error| failed(error.into()))?;
        // Written at once: a kill leaves an empty file at most, which the next start removes.
        write_private(&path, &bytes).map(drop).map_err(failed)
    }

    /// Forgets an endpoint.
    pub(crate) fn remove_endpoint(&self, id: &EndpointId) {
        let _ = std::fs::remove_file(self.endpoint_path(id));
    }
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// After a crash the file has the old content or the new, never a part.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    write_private(&temporary, bytes)?.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}
