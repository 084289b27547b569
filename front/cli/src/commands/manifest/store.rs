//! Lists of manifests that are not pushed yet: a folder per list, a file per manifest, in the configuration folder.
//!
//! Names of folders and files are made of parsed references, whose grammar has no `..` and whose slashes are replaced, so
//! no name leads out of the store. Links are not followed: what is no folder is no list, what is no file no manifest.

use std::path::{Path, PathBuf};

use oci::Reference;

use super::entry::Entry;
use crate::config_file;
use crate::failure::{Failure, file_failure};
use crate::session::Session;

/// The store.
pub(super) struct Store {
    folder: PathBuf,
}

/// More than this is no manifest with what is known of it.
const LIMIT: u64 = 16 << 20;
/// Manifests in a list.
const ENTRIES: usize = 1000;

impl Store {
    /// The store of the configuration in use.
    pub(super) fn new(session: &Session) -> Self {
        Self { folder: session.config_dir().join("manifests") }
    }

    /// One manifest of a list; none when the list does not have it.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn get(&self, list: &Reference, name: &Reference) -> Result<Option<Entry>, Failure> {
        if !self.has(list) {
            return Ok(None);
        }
        read(&self.list_dir(list).join(file_name(name)))
    }

    /// All manifests of a list, in the order of their files; none when there is no such list.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn list(&self, list: &Reference) -> Result<Option<Vec<Entry>>, Failure> {
        if !self.has(list) {
            return Ok(None);
        }
        let folder = self.list_dir(list);
        let shown = folder.display().to_string();
        let entries = std::fs::read_dir(&folder).map_err(|error| file_failure("open", &shown, &error))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(ENTRIES + 1).collect();
        if paths.len() > ENTRIES {
            return Err(Failure::text(format!("{shown} has more than {ENTRIES} manifests")));
        }
        paths.sort();
        let mut found = Vec::new();
        for path in paths {
            found.extend(read(&path)?);
        }
        Ok(Some(found))
    }

    /// Keeps a manifest in a list.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn save(&self, list: &Reference, name: &Reference, entry: &Entry) -> Result<(), Failure> {
        let folder = self.list_dir(list);
        let path = folder.join(file_name(name));
        let shown = path.display().to_string();
        config_file::make_private_folder(&folder).map_err(|error| file_failure("mkdir", &shown, &error))?;
        if !self.has(list) {
            return Err(Failure::text(format!("{} is no folder", folder.display())));
        }
        let text = serde_json::to_value(entry).map(|json| crate::json::go_compact(&json));
        let text = text.map_err(|error| Failure::text(error.to_string()))?;
        config_file::replace(&path, text.as_bytes()).map_err(|error| file_failure("open", &shown, &error))
    }

    /// Removes a list; false when there is none.
    ///
    /// # Errors
    /// When it can't be removed.
    pub(super) fn remove(&self, list: &Reference) -> Result<bool, Failure> {
        if !self.has(list) {
            return Ok(false);
        }
        let folder = self.list_dir(list);
        std::fs::remove_dir_all(&folder)
            .map(|()| true)
            .map_err(|error| file_failure("unlinkat", &folder.display().to_string(), &error))
    }

    fn has(&self, list: &Reference) -> bool {
        std::fs::symlink_metadata(self.list_dir(list)).is_ok_and(|about| about.is_dir())
    }

    fn list_dir(&self, list: &Reference) -> PathBuf {
        self.folder.join(file_name(list))
    }
}

fn file_name(name: &Reference) -> String {
    name.canonical().replace(':', "-").replace('/', "_")
}

fn read(path: &Path) -> Result<Option<Entry>, Failure> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let shown = path.display().to_string();
    let failed = |error: &std::io::Error| file_failure("open", &shown, error);
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(Failure::text(format!("{shown} is no file")));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Failure::text(format!("{shown} is no manifest: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Reference {
        super::super::parse(text).unwrap()
    }

    #[test]
    fn names_of_files_are_dockers_and_stay_inside() {
        assert_eq!(file_name(&name("x")), "docker.io_library_x-latest");
        assert_eq!(file_name(&name("127.0.0.1:5000/a/b:1")), "127.0.0.1-5000_a_b-1");
        for text in
            ["..", "../x", "a/../../b", "/etc/passwd", "a/..", "..:1", "../..:x", "%2e%2e/x", "a\\..\\b"]
        {
            assert!(super::super::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn planted_links_lead_nowhere() {
        let root = std::env::temp_dir().join(format!("wharf-manifests-{}", std::process::id()));
        let outside = root.join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("kept"), "kept").unwrap();
        let store = Store { folder: root.join("manifests") };
        let descriptor = oci::image::Descriptor::of(oci::image::media::OCI_MANIFEST, b"{}");
        let entry = Entry::new("x".to_owned(), descriptor, b"{}").unwrap();
        let (list, item) = (name("h.example/list"), name("h.example/item"));
        store.save(&list, &item, &entry).unwrap();
        assert_eq!(store.get(&list, &item).unwrap(), Some(entry.clone()));
        // A manifest that is a link is replaced, not written through, and not read.
        let path = store.list_dir(&list).join(file_name(&item));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(outside.join("kept"), &path).unwrap();
        assert!(store.get(&list, &item).is_err() && store.list(&list).is_err());
        store.save(&list, &item, &entry).unwrap();
        assert!(!path.is_symlink());
        // A list that is a link is none.
        let planted = name("h.example/planted");
        std::os::unix::fs::symlink(&outside, store.list_dir(&planted)).unwrap();
        assert!(store.list(&planted).unwrap().is_none() && !store.remove(&planted).unwrap());
        assert!(store.save(&planted, &item, &entry).is_err());
        assert!(store.remove(&list).unwrap());
        assert_eq!(std::fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        std::fs::remove_dir_all(root).unwrap();
    }
}
