//! Files that a build fetches: by HTTP into a file with the server's time, by git into a folder.

use std::fs::{File, FileTimes};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use builder::operation::Remote;
use oci::Digest;
use oci::digest::Digester;
use registry_client::{Download, Stop};

use super::checksum::Checksum;
use super::git::{self, Repository};
use crate::engine::Inner;
use crate::error::Context;
use crate::registry::Caller;
use crate::{Error, Result};

/// Bytes of a file at most.
pub(super) const LARGEST: u64 = 64 << 30;
/// Permissions of a fetched file.
const MODE: u32 = 0o600;

/// Fetched files, which go with it.
pub(super) struct Fetched {
    /// The folder they are in.
    pub(super) folder: PathBuf,
    /// The one that is meant in it; none for all of it.
    pub(super) name: Option<String>,
    /// Where they come from.
    pub(super) address: String,
    /// What was found there, once it is.
    pub(super) checksum: Option<Checksum>,
    scratch: PathBuf,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.scratch) {
            eprintln!("removing {}: {error}", self.scratch.display());
        }
    }
}

/// Fetches what ADD names.
pub(super) fn fetch(inner: &Inner, remote: &Remote, stop: &Stop) -> Result<Fetched> {
    let scratch = inner.layout.temporary_dir().join(format!("fetched-{}", model::id::random_hex()));
    store::file::make_private_dir(&scratch).doing(|| format!("making folder {}", scratch.display()))?;
    let address = remote.address.clone();
    let mut fetched = Fetched { folder: scratch.clone(), name: None, address, checksum: None, scratch };
    if git::is_repository(&remote.address) {
        let repository = Repository::parse(&remote.address)?;
        let checksum = remote.checksum.as_deref();
        let out = repository.check_out(&fetched.scratch, remote.keep_git_dir, checksum, stop)?;
        (fetched.folder, fetched.checksum) = (out.folder, Some(Checksum::of_commit(out.commit)));
        return Ok(fetched);
    }
    let mut download = open(inner, &remote.address, stop)?;
    let name = download
        .name()
        .ok_or_else(|| Error::invalid(format!("cannot determine filename from url: {}", remote.address)))?;
    let path = fetched.folder.join(&name);
    let found = save(&mut download, &path, remote.checksum.as_deref())?;
    if let Some(wanted) = remote.checksum.as_deref().filter(|wanted| *wanted != found.as_str()) {
        return Err(Error::invalid(format!("digest mismatch {found}: {wanted}")));
    }
    fetched.checksum = Some(Checksum::from(&found));
    fetched.name = Some(name);
    Ok(fetched)
}

/// Begins to fetch a file.
pub(super) fn open(inner: &Inner, address: &str, stop: &Stop) -> Result<Download> {
    let client = inner.registries.client(&Caller::default());
    client.download(address, LARGEST, stop).map_err(Error::from_kinded)
}

/// Writes a file; its digest.
fn save(download: &mut Download, path: &Path, checksum: Option<&str>) -> Result<Digest> {
    let doing = || format!("fetching {}", path.display());
    let wanted = checksum.map(|text| text.parse::<Digest>().map_err(Error::from_kinded)).transpose()?;
    let algorithm = wanted.map_or(oci::digest::Algorithm::Sha256, |digest| digest.algorithm());
    let mut digester = Digester::new(algorithm);
    let mut file = File::create_new(path).doing(doing)?;
    let mut block = vec![0; 128 << 10];
    loop {
        let count = download.read(&mut block).doing(doing)?;
        if count == 0 {
            break;
        }
        let bytes = block.get(..count).unwrap_or_default();
        digester.update(bytes);
        file.write_all(bytes).doing(doing)?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(MODE)).doing(doing)?;
    let seconds = download.modified().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(modified)).doing(doing)?;
    Ok(digester.finish())
}
