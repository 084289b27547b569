//! One control group in all hierarchies: making, opening, entering and removing it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::file::Directory;
use super::hierarchy::{Hierarchies, Mount};
use super::{Error, Layout, Result};

/// How often a group is made anew whose parents are removed meanwhile.
const ATTEMPTS: usize = 16;

/// A control group, held open in every hierarchy it exists in.
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) path: String,
    pub(crate) layout: Layout,
    /// The version 2 directory. On a hybrid machine it only tracks processes.
    pub(crate) unified: Option<Directory>,
    /// The version 1 directories, one per hierarchy.
    pub(crate) legacy: Vec<Legacy>,
    /// Where the directories hang, for removal by name.
    pub(crate) parents: Vec<(OwnedFd, String)>,
}

/// A directory of a version 1 hierarchy.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) controllers: Vec<String>,
    pub(crate) directory: Directory,
}

impl Cgroup {
    /// The path within the hierarchies, as it was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The directory for `CLONE_INTO_CGROUP`, where a version 2 hierarchy exists (also on hybrid machines).
    pub fn entrance(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(|directory| directory.fd.as_fd())
    }

    /// The `tasks` files of all version 1 hierarchies, open for writing. A single-threaded process that writes `0` to
    /// each is in the group. Empty on version 2.
    pub fn tasks(&self) -> Result<Vec<OwnedFd>> {
        self.legacy.iter().map(|legacy| legacy.directory.open_tasks()).collect()
    }

    /// The directory of a controller, whichever version has it.
    pub(crate) fn directory(&self, controller: &str) -> Option<&Directory> {
        if self.layout == Layout::Unified {
            return self.unified.as_ref();
        }
        let found =
            self.legacy.iter().find(|legacy| legacy.controllers.iter().any(|name| name == controller));
        found.map(|legacy| &legacy.directory)
    }

    pub(crate) fn directories(&self) -> impl Iterator<Item = &Directory> {
        self.unified.iter().chain(self.legacy.iter().map(|legacy| &legacy.directory))
    }

    /// Removes the group with all groups below it from every hierarchy. A group the kernel still calls busy is tried
    /// again until `patience` is over; what is gone already is no error.
    pub fn remove(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut failure = Ok(());
        for (parent, name) in &self.parents {
            let result = remove_tree(parent.as_fd(), name, deadline);
            if let Err(source) = result {
                failure = Err(Error::Remove { path: self.path.clone(), source });
            }
        }
        failure
    }
}

impl Directory {
    fn open_tasks(&self) -> Result<OwnedFd> {
        openat(&self.fd, "tasks", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| self.write_error("tasks", "0", source.into()))
    }
}

pub(crate) fn open_directory<P: rustix::path::Arg>(at: BorrowedFd<'_>, path: P) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(at, path, flags, Mode::empty())?)
}

pub(crate) fn create(hierarchies: &Hierarchies, path: &str) -> Result<Cgroup> {
    let parts = split(path)?;
    let mut group = empty(hierarchies, path);
    for mount in hierarchies.mounts() {
        let (parent, directory) = make(mount, &parts, hierarchies.layout() == Layout::Unified)
            .map_err(|source| Error::Create { path: format!("{}{path}", mount.point.display()), source })?;
        let name = parts.last().copied().unwrap_or_default();
        group.parents.push((parent, name.to_owned()));
        group.insert(mount, directory, path);
    }
    Ok(group)
}

/// Removes a group from the hierarchies in which it has neither processes nor groups below it.
pub(crate) fn remove_empty(hierarchies: &Hierarchies, path: &str) {
    let Ok(parts) = split(path) else { return };
    let Some((name, above)) = parts.split_last() else { return };
    for mount in hierarchies.mounts() {
        // Whoever is in it keeps it, and one that is not there need not go.
        if let Ok((_, parent)) = walk(mount, above) {
            let _ = unlinkat(&parent, *name, AtFlags::REMOVEDIR);
        }
    }
}

pub(crate) fn open(
    hierarchies: &Hierarchies,
    locate: impl Fn(&Mount) -> Option<String>,
    label: &str,
) -> Result<Cgroup> {
    let mut group = empty(hierarchies, label);
    for mount in hierarchies.mounts() {
        let Some(path) = locate(mount) else { continue };
        let parts = split(&path).or_else(|error| if path == "/" { Ok(Vec::new()) } else { Err(error) })?;
        match walk(mount, &parts) {
            Ok((parent, directory)) => {
                if let (Some(parent), Some(name)) = (parent, parts.last()) {
                    group.parents.push((parent, (*name).to_owned()));
                }
                group.insert(mount, directory, &path);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(source) => {
                return Err(Error::Create { path: format!("{}{path}", mount.point.display()), source });
            }
        }
    }
    if group.unified.is_none() && group.legacy.is_empty() {
        return Err(Error::Absent { path: label.into() });
    }
    Ok(group)
}

fn empty(hierarchies: &Hierarchies, path: &str) -> Cgroup {
    Cgroup {
        path: path.to_owned(),
        layout: hierarchies.layout(),
        unified: None,
        legacy: Vec::new(),
        parents: Vec::new(),
    }
}

impl Cgroup {
    fn insert(&mut self, mount: &Mount, fd: OwnedFd, path: &str) {
        let path = format!("{}/{}", mount.point.display(), path.trim_start_matches('/'));
        let directory = Directory { fd, path };
        if mount.unified {
            self.unified = Some(directory);
        } else {
            self.legacy.push(Legacy { controllers: mount.controllers.clone(), directory });
        }
    }
}

/// The components of a group's path; none may lead upwards.
fn split(path: &str) -> Result<Vec<&str>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let bad = parts.is_empty()
        || parts.iter().any(|part| *part == ".." || part.contains(['\n', '\0']) || part.len() > 255);
    if bad { Err(Error::Path { path: path.to_owned() }) } else { Ok(parts) }
}

fn walk(mount: &Mount, parts: &[&str]) -> io::Result<(Option<OwnedFd>, OwnedFd)> {
    let mut parent = None;
    let mut current = open_mount(&mount.point)?;
    for part in parts {
        let next = open_directory(current.as_fd(), *part)?;
        parent = Some(std::mem::replace(&mut current, next));
    }
    Ok((parent, current))
}

fn open_mount(point: &Path) -> io::Result<OwnedFd> {
    open_directory(rustix::fs::CWD, point)
}

/// Makes the directories down to the group; from the top again when somebody removes an empty one on the way meanwhile.
fn make(mount: &Mount, parts: &[&str], governing: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut attempt = 0;
    loop {
        match descend(mount, parts, governing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// On version 2 every level hands its controllers down; on the cpuset hierarchy of version 1 every level needs CPUs and
/// memory nodes before a process may enter.
fn descend(mount: &Mount, parts: &[&str], governing: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut current = open_mount(&mount.point)?;
    let mut parent = None;
    for part in parts {
        if mount.unified && governing {
            delegate(current.as_fd());
        }
        match mkdirat(&current, *part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let next = open_directory(current.as_fd(), *part)?;
        if mount.has("cpuset") && !mount.unified {
            inherit_cpuset(current.as_fd(), next.as_fd())?;
        }
        parent = Some(std::mem::replace(&mut current, next));
    }
    let parent = parent.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    Ok((parent, current))
}

/// Enables for children what this group has. Controllers are switched one by one because the kernel refuses the
/// whole line for one busy controller; whether a needed one is missing shows when its limit is written.
fn delegate(directory: BorrowedFd<'_>) {
    let (mut offered, mut enabled) = (String::new(), String::new());
    if super::file::read_at(directory, "cgroup.controllers", &mut offered).is_err() {
        return;
    }
    let _ = super::file::read_at(directory, "cgroup.subtree_control", &mut enabled);
    let missing = |name: &&str| !enabled.split_whitespace().any(|on| on == *name);
    let missing: Vec<String> =
        offered.split_whitespace().filter(missing).map(|name| format!("+{name}")).collect();
    if missing.is_empty()
        || super::file::write_at(directory, "cgroup.subtree_control", missing.join(" ").as_bytes()).is_ok()
    {
        return;
    }
    for one in missing {
        let _ = super::file::write_at(directory, "cgroup.subtree_control", one.as_bytes());
    }
}

fn inherit_cpuset(parent: BorrowedFd<'_>, child: BorrowedFd<'_>) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut own = String::new();
        super::file::read_at(child, file, &mut own)?;
        if !own.trim().is_empty() {
            continue;
        }
        let mut inherited = String::new();
        super::file::read_at(parent, file, &mut inherited)?;
        super::file::write_at(child, file, inherited.trim().as_bytes())?;
    }
    Ok(())
}

fn remove_tree(parent: BorrowedFd<'_>, name: &str, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(200);
    loop {
        let error = match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(error) => error,
        };
        if error != Errno::BUSY {
            return Err(error.into());
        }
        // Busy means processes on their way out, or groups below.
        for child in children(parent, name) {
            let directory = match open_directory(parent, name) {
                Ok(directory) => directory,
                Err(_) => break,
            };
            remove_tree(directory.as_fd(), &child, deadline)?;
        }
        if Instant::now() >= deadline {
            return unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(io::Error::from);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The names of the groups below a group.
pub(crate) fn children(parent: BorrowedFd<'_>, name: &str) -> Vec<String> {
    let Ok(directory) = open_directory(parent, name) else { return Vec::new() };
    let Ok(entries) = rustix::fs::Dir::new(directory) else { return Vec::new() };
    let groups = entries.flatten().filter(|entry| entry.file_type() == rustix::fs::FileType::Directory);
    let names = groups.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    names.filter(|name| name != "." && name != "..").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let rows: &[(&str, Option<&[&str]>)] = &[
            ("/docker/abc", Some(&["docker", "abc"])),
            ("a//b/./c", Some(&["a", "b", "c"])),
            ("/", None),
            ("", None),
            ("/a/../b", None),
            ("/a\nb", None),
        ];
        for (path, expected) in rows {
            assert_eq!(split(path).ok().as_deref(), *expected, "{path}");
        }
    }
}
