//! Files that are replaced in one step: write aside, flush, rename, flush the directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Durability, StoreError};

/// Files aside carry this prefix; whoever owns a directory may remove them when it is opened.
pub const ASIDE_PREFIX: &str = ".new-";

/// Sets the content of a file (mode 0600). Readers see the old content or the new one, never a mixture; with
/// `Durable` the new content is on disk at return.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
    replace_with_mode(path, content, 0o600, durability)
}

/// As [`replace`], with a mode of choice.
pub fn replace_with_mode(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), StoreError> {
    let aside = aside_of(path);
    write_aside(&aside, content, mode, durability)
        .and_then(|()| std::fs::rename(&aside, path))
        .and_then(|()| if durability == Durability::Durable { sync_parent(path) } else { Ok(()) })
        .map_err(|source| {
            let _ = std::fs::remove_file(&aside);
            StoreError::File { operation: "replace", path: path.to_owned(), source }
        })
}

/// Sets the content of a file to a value as JSON.
pub fn replace_json<V: Serialize>(path: &Path, value: &V, durability: Durability) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value).map_err(|error| StoreError::File {
        operation: "encode",
        path: path.to_owned(),
        source: error.into(),
    })?;
    replace(path, &bytes, durability)
}

/// Reads a value written by [`replace_json`]; none when there is no file.
pub fn read_json<V: DeserializeOwned>(path: &Path) -> Result<Option<V>, StoreError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::File { operation: "read", path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::File {
        operation: "decode",
        path: path.to_owned(),
        source: error.into(),
    })
}

/// Removes a file and flushes the directory; a missing one is no error.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.and_then(|()| sync_parent(path)).map_err(|source| StoreError::File {
            operation: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes a directory and its missing parents, the directory itself 0700 also when it existed with a wider mode.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 { set_mode(path, 0o700) } else { Ok(()) }
}

/// Removes what an interrupted [`replace`] left in a directory.
pub fn remove_asides(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ASIDE_PREFIX) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Flushes the directory a path is in, so that a rename or removal in it survives a power cut.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn aside_of(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{ASIDE_PREFIX}{}-{number}-{name}", std::process::id()))
}

fn write_aside(aside: &Path, content: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(aside)?;
    file.write_all(content)?;
    if durability == Durability::Durable { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_leaves_one_file() {
        let directory = std::env::temp_dir().join(format!("wharf-store-file-{}", std::process::id()));
        make_private_dir(&directory).unwrap();
        let path = directory.join("a.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        replace_json(&path, &1u32, Durability::Durable).unwrap();
        replace_json(&path, &2u32, Durability::Relaxed).unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(2));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(directory.join(".new-1-2-a.json"), "half").unwrap();
        remove_asides(&directory).unwrap();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
