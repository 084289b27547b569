//! `cp`: paths are resolved inside the container's root only, never by the host.

use std::io::{Read, Write};
use std::path::Path;

use ::archive::copy;
use ::archive::{ExtractOptions, IdMap, IdRange, Owner};
use ::container::ContainerRecord;
use api::container::ArchiveStat;
use linux::root::RootDir;

use super::events;
use super::parameters::ArchivePutParameters;
use crate::engine::Inner;
use crate::{Error, Result};

/// The container's root: as its processes see it while it runs, the bare layers otherwise.
pub(crate) fn open_root(inner: &Inner, record: &ContainerRecord) -> Result<RootDir> {
    let pid = record.lifecycle.state.pid();
    if pid != 0
        && let Ok(root) = crate::exec::open_process_root(pid)
    {
        return Ok(root);
    }
    inner.storage.open_root(&record.snapshot)
}

fn check_path(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(Error::invalid("bad parameter: pathcannot be empty"));
    }
    Ok(())
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn document(stat: &copy::PathStat) -> ArchiveStat {
    let mtime = model::Timestamp::from_unix(stat.seconds, i32::try_from(stat.nanoseconds).unwrap_or(0));
    ArchiveStat {
        name: stat.name.to_string_lossy().into_owned(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: go_mode(stat.mode),
        mtime: mtime.to_string(),
        link_target: stat.link_target.to_string_lossy().into_owned(),
    }
}

/// `stat(2)`'s mode in the bits of Go's `fs.FileMode`.
pub(crate) fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        0o060_000 => 1 << 26,
        0o020_000 => (1 << 26) | (1 << 21),
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.into_iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go).sum::<u32>();
    (mode & 0o777) | kind | special
}

fn look(
    inner: &Inner,
    reference: &str,
    path: &str,
) -> Result<(RootDir, copy::PathStat, std::sync::Arc<ContainerRecord>)> {
    check_path(path)?;
    let container = inner.find(reference)?;
    let record = container.record();
    let root = open_root(inner, &record)?;
    let stat =
        copy::stat(&root, Path::new(&absolute(path))).map_err(|error| not_there(reference, path, &error))?;
    Ok((root, stat, record))
}

fn not_there(reference: &str, path: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found(format!("Could not find the file {path} in container {reference}"))
        }
        std::io::ErrorKind::NotADirectory => Error::invalid(format!("{path}: not a directory")),
        _ => Error::internal(format!("{path}: {error}")),
    }
}

pub(crate) fn stat(inner: &Inner, reference: &str, path: &str) -> Result<ArchiveStat> {
    look(inner, reference, path).map(|(_, stat, _)| document(&stat))
}

/// A path that is going to be written as a tar stream.
pub struct ArchiveSource {
    root: RootDir,
    path: String,
    id_map: Option<IdMap>,
}

impl std::fmt::Debug for ArchiveSource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ArchiveSource").field("path", &self.path).finish_non_exhaustive()
    }
}

pub(crate) fn get(inner: &Inner, reference: &str, path: &str) -> Result<(ArchiveStat, ArchiveSource)> {
    let (root, stat, record) = look(inner, reference, path)?;
    events::container(inner, &record, "archive-path", &[]);
    let id_map = id_map(inner, &record)?;
    Ok((document(&stat), ArchiveSource { root, path: absolute(path), id_map }))
}

impl ArchiveSource {
    /// Writes the stream.
    ///
    /// # Errors
    /// When the client takes no more or the files cannot be read.
    pub fn write_to(self, out: &mut dyn Write) -> Result<()> {
        copy::get(&self.root, Path::new(&self.path), self.id_map, out)
            .map_err(|error| Error::caused("reading the path", error))
    }
}

pub(crate) fn put(
    inner: &Inner,
    reference: &str,
    parameters: &ArchivePutParameters,
    body: &mut dyn Read,
) -> Result<()> {
    check_path(&parameters.path)?;
    let container = inner.find(reference)?;
    // Nobody starts a stopped one while its layer is written to from here.
    let _operation = (!container.record().lifecycle.state.has_process()).then(|| container.operate());
    let record = container.record();
    let root = if record.lifecycle.state.has_process() {
        open_root(inner, &record)?
    } else {
        inner.storage.open_root_to_write(&record.snapshot)?
    };
    let path = absolute(&parameters.path);
    let directory = Path::new(&path);
    let found = root
        .stat(directory)
        .map_err(|error| not_there(reference, &parameters.path, &std::io::Error::from(error)))?;
    if found.st_mode & 0o170_000 != 0o040_000 {
        return Err(Error::internal("extraction point is not a directory"));
    }
    check_writable(&record, &path)?;
    let id_map = id_map(inner, &record)?;
    // The kernel makes no file for somebody its mount does not know.
    let owner = id_map.as_ref().and_then(|map| map.outside(0, 0));
    let options = ExtractOptions {
        owner: Owner::Archive,
        no_overwrite_dir_non_dir: parameters.no_overwrite_dir_non_dir,
        id_map,
        ..ExtractOptions::copy()
    };
    let _making = owner.map(|(user, group)| MakingAs::become_owner(user, group)).transpose()?;
    copy::put(&root, directory, body, &options)
        .map_err(|error| Error::internal(model::error::chain(&error)))?;
    events::container(inner, &record, "extract-to-dir", &[]);
    Ok(())
}

/// The ids of the container's user namespace, when its root is looked at from outside of it: a running one's. Layers by
/// themselves have the ids that are meant inside.
fn id_map(inner: &Inner, record: &ContainerRecord) -> Result<Option<IdMap>> {
    if record.lifecycle.state.pid() == 0 {
        return Ok(None);
    }
    let settings = super::create_record::settings_of(record)?;
    let ranges = |lines: Vec<oci::runtime::IdMapping>| {
        let range = |line: oci::runtime::IdMapping| IdRange {
            inside: line.container_id,
            outside: line.host_id,
            size: line.size,
        };
        lines.into_iter().map(range).collect()
    };
    let maps = super::user_namespace::mappings(&inner.config(), &settings);
    Ok(maps.map(|(users, groups)| IdMap { users: ranges(users), groups: ranges(groups) }))
}

/// The calling thread makes files as somebody else until this is dropped.
struct MakingAs;

impl MakingAs {
    fn become_owner(user: u32, group: u32) -> Result<Self> {
        linux::identity::set_file_owner(user, group).map_err(|error| {
            Error::caused("making files as the container's root", std::io::Error::from(error))
        })?;
        Ok(Self)
    }
}

impl Drop for MakingAs {
    fn drop(&mut self) {
        // Back to what the engine is; this cannot fail for one who could become somebody else.
        let _ = linux::identity::set_file_owner(0, 0);
    }
}

/// Docker's refusals for what the container could not write either.
fn check_writable(record: &ContainerRecord, path: &str) -> Result<()> {
    let clean = model::path::clean(path);
    let below = |mount: &&::container::MountPoint| {
        clean == mount.destination || clean.starts_with(&format!("{}/", mount.destination))
    };
    let mount = record.mounts.iter().filter(below).max_by_key(|mount| mount.destination.len());
    match mount {
        Some(mount) if !mount.writable => Err(Error::internal("mounted volume is marked read-only")),
        Some(_) => Ok(()),
        None => {
            let read_only = record.documents.host_config.get("ReadonlyRootfs");
            match read_only.and_then(|value| value.as_bool()) {
                Some(true) => Err(Error::internal("container rootfs is marked read-only")),
                _ => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_go_s() {
        for (mode, go) in [
            (0o100_644, 0o644),
            (0o040_755, (1 << 31) | 0o755),
            (0o120_777, (1 << 27) | 0o777),
            (0o104_755, (1 << 23) | 0o755),
            (0o041_777, (1 << 31) | (1 << 20) | 0o777),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }
}
