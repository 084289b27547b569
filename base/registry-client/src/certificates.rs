//! Certificates kept for single hosts: `certs.d/HOST/{*.crt,*.cert,*.key}`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use transport::client::TlsClient;

use crate::RegistryError;
use crate::url::Origin;

/// How to speak TLS with a host.
pub(crate) fn client(
    folders: &[PathBuf],
    origin: &Origin,
    verify: bool,
) -> Result<Arc<TlsClient>, RegistryError> {
    let mut authorities = Vec::new();
    let mut identity = None;
    for folder in folders.iter().flat_map(|folder| host_folders(folder, origin)) {
        read_folder(&folder, &mut authorities, &mut identity)?;
    }
    let shown = identity.as_ref().map(|(cert, key): &(PathBuf, PathBuf)| (cert.as_path(), key.as_path()));
    let client = if verify { TlsClient::new(&authorities, shown) } else { TlsClient::unverified(shown) };
    Ok(Arc::new(client?))
}

/// `host:port`, and the bare host when the port is the usual one.
fn host_folders(folder: &Path, origin: &Origin) -> Vec<PathBuf> {
    let mut names = vec![origin.address()];
    if origin.port == 443 {
        names.push(origin.authority());
    }
    // A host has no slash and is not `..`: its name was checked when it was parsed.
    names.into_iter().filter(|name| !name.starts_with('.')).map(|name| folder.join(name)).collect()
}

fn read_folder(
    folder: &Path,
    authorities: &mut Vec<PathBuf>,
    identity: &mut Option<(PathBuf, PathBuf)>,
) -> Result<(), RegistryError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in &paths {
        let missing = |what: &str, other: &Path| {
            Err(RegistryError::Certificates(format!(
                "missing {what} {} for {}: CA certificates must use the extension .crt",
                other.file_name().unwrap_or_default().to_string_lossy(),
                path.file_name().unwrap_or_default().to_string_lossy()
            )))
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => authorities.push(path.clone()),
            Some("cert") => {
                let key = path.with_extension("key");
                if !paths.contains(&key) {
                    return missing("key", &key);
                }
                identity.get_or_insert_with(|| (path.clone(), key));
            }
            Some("key") if !paths.contains(&path.with_extension("cert")) => {
                return missing("client certificate", &path.with_extension("cert"));
            }
            _ => {}
        }
    }
    Ok(())
}
