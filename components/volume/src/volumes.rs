//! All volumes of an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linux::root::RootDir;
use model::Timestamp;
use rustix::fs::{CWD, Mode, OFlags};
use store::{Store, Table};

use crate::error::Result;
use crate::volume::{ANONYMOUS_LABEL, LOCAL, Record};
use crate::{CreateVolume, Source, Volume, VolumeError};

const TABLE: Table<Record> = Table::new("volume");

/// The volumes, their records and who uses them. Clones are the same.
#[derive(Clone)]
pub struct Volumes {
    root: PathBuf,
    store: Store,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, Record>,
    users: BTreeMap<String, BTreeSet<String>>,
    unreadable: Vec<String>,
}

impl Volumes {
    /// Opens `<data-root>/volumes` (made 0700) and removes what a crash left. Nobody uses any volume yet: the engine
    /// calls [`Self::acquire`] for every container it has.
    pub fn open(root: &Path, store: Store) -> Result<Self> {
        store::file::make_private_dir(root).map_err(file_error("prepare", root))?;
        let listed = store.list_readable(&TABLE)?;
        let records: BTreeMap<String, Record> = listed.records.into_iter().collect();
        let unreadable: Vec<String> = listed.unreadable.into_iter().map(|(name, _)| name).collect();
        remove_unknown(root, |name| {
            records.contains_key(name) || unreadable.iter().any(|held| held == name)
        })?;
        for name in records.keys() {
            make_data(&root.join(name))?;
        }
        let state = State { records, users: BTreeMap::new(), unreadable };
        Ok(Self { root: root.to_owned(), store, state: Arc::new(Mutex::new(state)) })
    }

    /// Names of volumes whose records could not be read when this was opened. Their data stays; making a volume of the
    /// same name takes it over.
    pub fn unreadable(&self) -> Vec<String> {
        self.lock().unreadable.clone()
    }

    /// Makes a volume, or answers the one of this name (whatever its options are, as Docker does). True: it is new.
    pub fn create(&self, wanted: CreateVolume) -> Result<(Volume, bool)> {
        let CreateVolume { name, driver, options, labels } = wanted;
        let anonymous = name.is_empty();
        let name = if anonymous { model::id::random_hex() } else { name };
        if !driver.is_empty() && driver != LOCAL {
            return Err(VolumeError::Driver { name, driver });
        }
        let mut state = self.lock();
        if state.records.contains_key(&name) {
            return Ok((self.view(&state, &name)?, false));
        }
        check_name(&name)?;
        crate::options::check(&name, options.as_ref().unwrap_or(&BTreeMap::new()))?;
        let labels = match labels {
            labels if !anonymous => labels,
            labels => {
                let mut labels = labels.unwrap_or_default();
                labels.entry(ANONYMOUS_LABEL.to_owned()).or_default();
                Some(labels)
            }
        };
        let anonymous = labels.as_ref().is_some_and(|labels| labels.contains_key(ANONYMOUS_LABEL));
        let record = Record { created: Timestamp::now(), options, labels, anonymous };
        make_data(&self.root.join(&name))?;
        self.store.put(&TABLE, &name, &record)?;
        state.records.insert(name.clone(), record);
        Ok((self.view(&state, &name)?, true))
    }

    /// One volume.
    pub fn get(&self, name: &str) -> Result<Volume> {
        self.view(&self.lock(), name)
    }

    /// All volumes by name.
    pub fn list(&self) -> Vec<Volume> {
        let state = self.lock();
        state.records.keys().filter_map(|name| self.view(&state, name).ok()).collect()
    }

    /// What to mount for a volume.
    pub fn source(&self, name: &str) -> Result<Source> {
        Ok(Source::of(&self.get(name)?))
    }

    /// Notes that a container uses a volume; until [`Self::release`] it cannot be removed.
    pub fn acquire(&self, name: &str, container: &str) -> Result<()> {
        let mut state = self.lock();
        if !state.records.contains_key(name) {
            return Err(VolumeError::NotFound { name: name.to_owned() });
        }
        state.users.entry(name.to_owned()).or_default().insert(container.to_owned());
        Ok(())
    }

    /// The container does not use the volume any more.
    pub fn release(&self, name: &str, container: &str) {
        let mut state = self.lock();
        if let Some(users) = state.users.get_mut(name) {
            users.remove(container);
            if users.is_empty() {
                state.users.remove(name);
            }
        }
    }

    /// Removes a volume with its data. `force` only makes a missing one no error.
    pub fn remove(&self, name: &str, force: bool) -> Result<()> {
        let mut state = self.lock();
        match self.remove_locked(&mut state, name) {
            Err(VolumeError::NotFound { .. }) if force => Ok(()),
            result => result,
        }
    }

    /// Removes the unused volumes a test chooses; answers their names and the bytes they held.
    pub fn prune(&self, mut choose: impl FnMut(&Volume) -> bool) -> Result<(Vec<String>, u64)> {
        let mut removed = Vec::new();
        let mut bytes = 0;
        for volume in self.list() {
            if !volume.used_by.is_empty() || !choose(&volume) {
                continue;
            }
            let size = self.usage(&volume.name).unwrap_or(0);
            match self.remove(&volume.name, false) {
                Ok(()) => {
                    bytes += size;
                    removed.push(volume.name);
                }
                // Somebody was quicker, in using it or in removing it.
                Err(VolumeError::InUse { .. } | VolumeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((removed, bytes))
    }

    /// Bytes in a volume's files; 0 when its data is a mount.
    pub fn usage(&self, name: &str) -> Result<u64> {
        match self.source(name)? {
            Source::Directory(path) => open_dir(&path)
                .and_then(crate::usage::measure)
                .map_err(|error| file_error("measure", &path)(error.into())),
            Source::Mount { .. } => Ok(0),
        }
    }

    /// Fills a volume that is an empty directory with what the image has at a path of its root: contents, and the
    /// directory's own owner and mode. Nothing happens when the path is no directory there, or the volume is a mount.
    pub fn prefill(&self, name: &str, root: &RootDir, path: &Path) -> Result<()> {
        let Source::Directory(target) = self.source(name)? else { return Ok(()) };
        let failed = |source: std::io::Error| VolumeError::Prefill { name: name.to_owned(), source };
        let target = open_dir(&target).map_err(|error| failed(error.into()))?;
        crate::prefill::prefill(root, path, target).map_err(failed)
    }

    fn remove_locked(&self, state: &mut State, name: &str) -> Result<()> {
        if !state.records.contains_key(name) {
            return Err(VolumeError::NotFound { name: name.to_owned() });
        }
        if let Some(users) = state.users.get(name) {
            let users = users.iter().cloned().collect();
            return Err(VolumeError::InUse { name: name.to_owned(), users });
        }
        self.store.delete(&TABLE, name)?;
        state.records.remove(name);
        let path = self.root.join(name);
        std::fs::remove_dir_all(&path).map_err(file_error("remove", &path))
    }

    fn view(&self, state: &State, name: &str) -> Result<Volume> {
        let record =
            state.records.get(name).ok_or_else(|| VolumeError::NotFound { name: name.to_owned() })?;
        Ok(Volume {
            name: name.to_owned(),
            driver: LOCAL.to_owned(),
            mountpoint: self.root.join(name).join("_data"),
            created: record.created,
            options: record.options.clone(),
            labels: record.labels.clone(),
            anonymous: record.anonymous,
            used_by: state.users.get(name).into_iter().flatten().cloned().collect(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_name(name: &str) -> Result<()> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    let fits = name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || matches!(byte, b'_' | b'.' | b'-'))
        && name.len() <= 255;
    if name.len() == 1 {
        return Err(VolumeError::NameShort { name: name.to_owned() });
    }
    if fits { Ok(()) } else { Err(VolumeError::NameCharacters { name: name.to_owned() }) }
}

/// The data directory is 0755 like Docker's: what protects it is the 0700 directory above all volumes.
fn make_data(path: &Path) -> Result<()> {
    store::file::make_private_dir(path).map_err(file_error("prepare", path))?;
    let data = path.join("_data");
    match std::fs::DirBuilder::new().mode(0o755).create(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(file_error("make", &data)(error))
        }
        Ok(()) => {
            // The process's umask must not decide what the container's users may do.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&data, mode).map_err(file_error("make", &data))
        }
        Err(_) => Ok(()),
    }
}

fn remove_unknown(root: &Path, is_known: impl Fn(&str) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(root).map_err(file_error("read", root))? {
        let entry = entry.map_err(file_error("read", root))?;
        if !entry.file_name().to_str().is_some_and(&is_known) {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(file_error("remove", &path))?;
        }
    }
    Ok(())
}

fn open_dir(path: &Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

fn file_error(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> VolumeError {
    move |source| VolumeError::File { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
