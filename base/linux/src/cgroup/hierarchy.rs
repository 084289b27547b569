//! What is mounted where: the machine's cgroup hierarchies.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::group::{self, Cgroup};
use super::{Error, Result};

/// Which version of the interface governs resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Version 1 only.
    Legacy,
    /// Version 1 controllers, and a version 2 hierarchy that only tracks processes.
    Hybrid,
    /// Version 2 only.
    Unified,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Controllers of version 1 (`cpu`, `cpuacct`, or `name=systemd`); those offered by the root on version 2.
    pub(crate) controllers: Vec<String>,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Which directory of the hierarchy the mount shows, `/` outside of a container.
    pub(crate) root: String,
    /// Version 2.
    pub(crate) unified: bool,
}

impl Mount {
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// All hierarchies of the machine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hierarchies {
    mounts: Arc<Vec<Mount>>,
    layout: Layout,
}

impl Hierarchies {
    /// Reads what is mounted in the caller's mount namespace.
    pub fn detect() -> Result<Self> {
        let mut text = String::new();
        File::open("/proc/self/mountinfo").and_then(|mut file| file.read_to_string(&mut text)).map_err(
            |source| Error::Read { file: "/proc/self/mountinfo".into(), path: "/".into(), source },
        )?;
        let mut mounts = parse(&text);
        for mount in mounts.iter_mut().filter(|mount| mount.unified) {
            mount.controllers = read_controllers(&mount.point);
        }
        Self::from_mounts(mounts)
    }

    /// The same, read once: for processes whose mount namespace stays as it was when they started.
    pub fn of_this_process() -> Result<Self> {
        static KNOWN: OnceLock<Hierarchies> = OnceLock::new();
        if let Some(known) = KNOWN.get() {
            return Ok(known.clone());
        }
        Self::detect().map(|found| KNOWN.get_or_init(|| found).clone())
    }

    /// Only the version 2 hierarchy mounted at `point`, whatever else the machine has.
    pub fn unified_at(point: &Path) -> Result<Self> {
        let controllers = read_controllers(point);
        Self::from_mounts(vec![Mount {
            controllers,
            point: point.to_owned(),
            root: "/".into(),
            unified: true,
        }])
    }

    fn from_mounts(mounts: Vec<Mount>) -> Result<Self> {
        let legacy = mounts
            .iter()
            .any(|mount| !mount.unified && mount.controllers.iter().any(|c| !c.starts_with("name=")));
        let unified = mounts.iter().any(|mount| mount.unified);
        let layout = match (legacy, unified) {
            (true, true) => Layout::Hybrid,
            (true, false) => Layout::Legacy,
            (false, true) => Layout::Unified,
            (false, false) => return Err(Error::NotMounted),
        };
        Ok(Self { mounts: Arc::new(mounts), layout })
    }

    /// Which version governs resources.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// `1` or `2`, as Docker's `info` shows it.
    pub fn version(&self) -> &'static str {
        if self.layout == Layout::Unified { "2" } else { "1" }
    }

    /// The controllers that can limit something here, without named hierarchies. On a hybrid machine those of the
    /// version 2 hierarchy do not count.
    pub fn controllers(&self) -> Vec<&str> {
        let wanted = self.layout == Layout::Unified;
        let governing = self.mounts.iter().filter(|mount| mount.unified == wanted);
        governing
            .flat_map(|mount| &mount.controllers)
            .map(String::as_str)
            .filter(|name| !name.starts_with("name="))
            .collect()
    }

    /// Makes the group `path` in every hierarchy, with its parents; a group that exists is taken as it is.
    ///
    /// `path` is counted from the mount points: `/docker/<id>`.
    pub fn create(&self, path: &str) -> Result<Cgroup> {
        group::create(self, path)
    }

    /// Removes a group where it is empty: no process in it, no group below it. All else is left as it is.
    pub fn remove_empty(&self, path: &str) {
        group::remove_empty(self, path);
    }

    /// Opens an existing group; hierarchies that lack it are left out.
    pub fn open(&self, path: &str) -> Result<Cgroup> {
        group::open(self, |_| Some(path.to_owned()), path)
    }

    /// Opens the group a process is in, which may lie below its container's group (a nested engine, systemd).
    pub fn of_process(&self, pid: u32) -> Result<Cgroup> {
        let file = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read {
            file: file.clone(),
            path: "/".into(),
            source,
        })?;
        group::open(self, |mount| membership(&text, mount), &file)
    }

    /// The mount points with the options needed to show them inside a container: name of the directory below
    /// `/sys/fs/cgroup` (empty for a pure version 2 machine), controllers, mount point.
    pub fn mount_points(&self) -> impl Iterator<Item = (&str, &[String], &Path)> {
        self.mounts.iter().map(|mount| {
            let name = mount.point.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let name = if self.layout == Layout::Unified { "" } else { name };
            (name, mount.controllers.as_slice(), mount.point.as_path())
        })
    }

    pub(crate) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    pub(crate) fn root_directory(&self, controller: &str) -> Option<OwnedFd> {
        let wanted = self.layout == Layout::Unified;
        let mount = self
            .mounts
            .iter()
            .find(|mount| mount.unified == wanted && (mount.unified || mount.has(controller)))?;
        group::open_directory(rustix::fs::CWD, &mount.point).ok()
    }
}

/// The path of a process in the hierarchy of `mount`, counted from the mount point, out of `/proc/<pid>/cgroup`.
fn membership(text: &str, mount: &Mount) -> Option<String> {
    let line = text.lines().find(|line| {
        let names = line.split(':').nth(1).unwrap_or_default();
        if mount.unified {
            names.is_empty() && line.starts_with("0:")
        } else {
            names.split(',').any(|name| mount.has(name))
        }
    })?;
    let path = line.splitn(3, ':').nth(2)?;
    let below = if mount.root == "/" { path } else { path.strip_prefix(mount.root.as_str())? };
    Some(if below.is_empty() { "/".to_owned() } else { below.to_owned() })
}

fn read_controllers(point: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The cgroup mounts among the lines of a mountinfo file. A hierarchy mounted twice counts once; one that another
/// mount above it hides does not count.
fn parse(mountinfo: &str) -> Vec<Mount> {
    let places: Vec<Place<'_>> = mountinfo.lines().filter_map(place).collect();
    let mut mounts: Vec<Mount> = Vec::new();
    for line in mountinfo.lines() {
        let Some(mount) = parse_line(line) else { continue };
        if place(line).is_some_and(|place| is_hidden(&place, &places)) {
            continue;
        }
        let known = mounts.iter().any(|other| {
            if mount.unified {
                other.unified
            } else {
                !other.unified && other.controllers == mount.controllers
            }
        });
        if !known {
            mounts.push(mount);
        }
    }
    mounts
}

/// Where a mount is among the others.
struct Place<'a> {
    id: &'a str,
    parent: &'a str,
    point: &'a Path,
}

fn place(line: &str) -> Option<Place<'_>> {
    let mut fields = line.split(' ');
    let (id, parent) = (fields.next()?, fields.next()?);
    Some(Place { id, parent, point: Path::new(fields.nth(2)?) })
}

/// A mount can be reached when every visible mount on the way to its point is one it is mounted upon.
fn is_hidden(mount: &Place<'_>, all: &[Place<'_>]) -> bool {
    let above = |other: &&Place<'_>| other.point != mount.point && mount.point.starts_with(other.point);
    all.iter().filter(above).any(|other| !is_upon(mount, other, all) && !is_hidden(other, all))
}

fn is_upon(mount: &Place<'_>, base: &Place<'_>, all: &[Place<'_>]) -> bool {
    let mut parent = mount.parent;
    for _ in all {
        if parent == base.id {
            return true;
        }
        match all.iter().find(|place| place.id == parent) {
            Some(place) if place.parent != parent => parent = place.parent,
            _ => return false,
        }
    }
    false
}

fn parse_line(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(3);
    let (root, point) = (unescape(front.next()?), PathBuf::from(unescape(front.next()?)));
    let mut back = back.split(' ');
    let kind = back.next()?;
    let options = back.nth(1).unwrap_or_default();
    match kind {
        "cgroup2" => Some(Mount { controllers: Vec::new(), point, root, unified: true }),
        "cgroup" => {
            let noise = ["rw", "ro", "xattr", "clone_children", "noprefix", "favordynmods"];
            let named = |option: &&str| !noise.contains(option) && !option.starts_with("release_agent=");
            let controllers = options.split(',').filter(named).map(str::to_owned).collect();
            Some(Mount { controllers, point, root, unified: false })
        }
        _ => None,
    }
}

/// Mountinfo writes blanks and backslashes as three octal digits.
fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let Some(code) = code else {
            out.push('\\');
            rest = &rest[at + 1..];
            continue;
        };
        out.push(char::from(code));
        rest = &rest[at + 4..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,xattr,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:29 /docker/x /mnt/a\\040b rw,relatime - cgroup cgroup rw,cpu,cpuacct";

    #[test]
    fn mountinfo_lines_become_hierarchies() {
        let mounts = parse(HYBRID);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(mounts[1].controllers, ["name=systemd"]);
        assert!(mounts[2].unified);
        let all = Hierarchies::from_mounts(mounts).unwrap();
        assert_eq!(all.layout(), Layout::Hybrid);
        assert_eq!(all.controllers(), ["cpu", "cpuacct"]);
    }

    #[test]
    fn hidden_mounts_do_not_count() {
        let covered = "\
20 1 0:20 / / rw - ext4 root rw
31 20 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup rw - cgroup2 none rw";
        let mounts = parse(covered);
        assert_eq!(mounts.len(), 1, "{mounts:?}");
        assert!(mounts[0].unified);
        // What lies on a cover that itself covers something at the same path is seen.
        let rebuilt = format!("{covered}\n34 33 0:31 / /sys/fs/cgroup/cpu/deep rw - cgroup cgroup rw,pids");
        assert_eq!(parse(&rebuilt).len(), 2);
    }

    #[test]
    fn layouts() {
        let only = |line: &str| Hierarchies::from_mounts(parse(line)).map(|all| all.layout()).ok();
        let lines: Vec<&str> = HYBRID.lines().collect();
        assert_eq!(only(lines[1]), Some(Layout::Legacy));
        assert_eq!(only(lines[3]), Some(Layout::Unified));
        assert_eq!(only(lines[2]), None);
    }

    #[test]
    fn process_membership_is_counted_from_the_mount() {
        let text = "9:name=systemd:/\n1:cpu,cpuacct:/docker/x/y\n0::/docker/z\n";
        let mut mounts = parse(HYBRID);
        assert_eq!(membership(text, &mounts[0]).as_deref(), Some("/docker/x/y"));
        assert_eq!(membership(text, &mounts[2]).as_deref(), Some("/docker/z"));
        mounts[0].root = "/docker/x".into();
        assert_eq!(membership(text, &mounts[0]).as_deref(), Some("/y"));
    }

    #[test]
    fn octal_escapes() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\9"), "/a\\9");
    }
}
