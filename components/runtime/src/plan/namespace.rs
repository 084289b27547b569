//! Which namespaces are made, which are joined, and in which way.

use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};

use linux::namespace::Namespaces;
use oci::runtime::{IdMapping, Linux, Namespace, NamespaceType, TimeOffset, TimeOffsets};

use crate::error::{Error, Result};
use crate::plan::text::c_string;
use crate::step::Step;

/// The namespaces of a container.
#[derive(Debug, Default)]
pub(crate) struct NamespacePlan {
    /// Made.
    pub(crate) new: Namespaces,
    /// Joined, the user namespace last: until then the caller's privileges reach all others.
    pub(crate) joined: Vec<(Namespaces, OwnedFd)>,
    /// Lines of the id maps of a new user namespace.
    pub(crate) uid_map: String,
    /// The same for groups.
    pub(crate) gid_map: String,
    /// Lines for a new time namespace's offsets.
    pub(crate) time_offsets: String,
}

/// The kernel's flag for a kind.
pub(crate) fn flag(kind: NamespaceType) -> Namespaces {
    match kind {
        NamespaceType::Pid => Namespaces::PID,
        NamespaceType::Network => Namespaces::NETWORK,
        NamespaceType::Mount => Namespaces::MOUNT,
        NamespaceType::Ipc => Namespaces::IPC,
        NamespaceType::Uts => Namespaces::UTS,
        NamespaceType::User => Namespaces::USER,
        NamespaceType::Cgroup => Namespaces::CGROUP,
        NamespaceType::Time => Namespaces::TIME,
    }
}

impl NamespacePlan {
    /// Reads the specification; `given` descriptors replace its entries of the same kind.
    pub(crate) fn new(linux: &Linux, given: Vec<(NamespaceType, OwnedFd)>) -> Result<Self> {
        let mut plan = Self::default();
        check_unique(&linux.namespaces)?;
        for namespace in &linux.namespaces {
            if given.iter().any(|(kind, _)| *kind == namespace.kind) {
                continue;
            }
            if namespace.path.is_empty() {
                plan.new |= flag(namespace.kind);
            } else {
                plan.joined.push((flag(namespace.kind), open(namespace)?));
            }
        }
        plan.joined.extend(given.into_iter().map(|(kind, fd)| (flag(kind), fd)));
        plan.joined.sort_by_key(|(kind, _)| *kind == Namespaces::USER);
        plan.check_mount()?;
        plan.read_maps(linux)?;
        plan.time_offsets = offsets(&linux.time_offsets);
        Ok(plan)
    }

    /// Whether the container has a user namespace that is not the caller's.
    pub(crate) fn has_user(&self) -> bool {
        self.makes_user() || self.joins(Namespaces::USER)
    }

    /// Whether a user namespace is made.
    pub(crate) fn makes_user(&self) -> bool {
        self.new.contains(Namespaces::USER)
    }

    /// Whether namespaces of this kind are joined.
    pub(crate) fn joins(&self, kind: Namespaces) -> bool {
        self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Whether the container's process has to be made by a process in between: pid and time namespaces are entered
    /// by children only, and what is joined beside a user namespace must be joined before it.
    pub(crate) fn needs_stage(&self) -> bool {
        let joins_beside_user = self.makes_user() && !self.joined.is_empty();
        let time = self.new.contains(Namespaces::TIME) || self.joins(Namespaces::TIME);
        self.joins(Namespaces::PID) || self.joins(Namespaces::USER) || time || joins_beside_user
    }

    fn check_mount(&self) -> Result<()> {
        if self.joins(Namespaces::MOUNT) {
            return Err(Error::spec("joining a mount namespace is not supported"));
        }
        if !self.new.contains(Namespaces::MOUNT) {
            return Err(Error::spec("a container needs a mount namespace of its own"));
        }
        Ok(())
    }

    fn read_maps(&mut self, linux: &Linux) -> Result<()> {
        if !self.makes_user() {
            return Ok(());
        }
        if linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty() {
            return Err(Error::spec("User namespaces enabled, but no uid or gid mappings found."));
        }
        self.uid_map = map_lines(&linux.uid_mappings)?;
        self.gid_map = map_lines(&linux.gid_mappings)?;
        Ok(())
    }
}

/// The lines of `uid_map` and `gid_map`.
pub(crate) fn map_lines(mappings: &[IdMapping]) -> Result<String> {
    /// The kernel takes no more.
    const MOST: usize = 340;
    if mappings.len() > MOST || mappings.iter().any(|mapping| mapping.size == 0) {
        return Err(Error::spec("invalid id mappings"));
    }
    let mut lines = String::new();
    for mapping in mappings {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{} {} {}", mapping.container_id, mapping.host_id, mapping.size);
    }
    Ok(lines)
}

/// Where an id of the container lies outside.
pub(crate) fn host_id(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id)?;
        let id = if offset < mapping.size { mapping.host_id.checked_add(offset) } else { None };
        id.filter(|id| *id != u32::MAX)
    })
}

fn check_unique(namespaces: &[Namespace]) -> Result<()> {
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespaces.iter().skip(index + 1).any(|other| other.kind == namespace.kind) {
            return Err(Error::spec(format!("malformed spec file: duplicated ns {namespace:?}")));
        }
    }
    Ok(())
}

fn open(namespace: &Namespace) -> Result<OwnedFd> {
    let path = c_string(namespace.path.as_str())?;
    let fd =
        linux::namespace::open(&path).map_err(Error::system(Step::Namespace, namespace.path.as_str()))?;
    let kind = linux::namespace::kind_of(fd.as_fd())
        .map_err(Error::system(Step::Namespace, namespace.path.as_str()))?;
    if kind != flag(namespace.kind) {
        return Err(Error::spec(format!("{} is not a {:?} namespace", namespace.path, namespace.kind)));
    }
    Ok(fd)
}

fn offsets(offsets: &TimeOffsets) -> String {
    let line = |clock: &str, offset: Option<TimeOffset>| {
        offset.map_or(String::new(), |offset| format!("{clock} {} {}\n", offset.secs, offset.nanosecs))
    };
    line("monotonic", offsets.monotonic) + &line("boottime", offsets.boottime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn ids_are_mapped() {
        let mappings = [mapping(0, 1000, 1), mapping(1, 100_000, 65_535)];
        for (id, host) in [(0, Some(1000)), (1, Some(100_000)), (65_535, Some(165_534)), (65_536, None)] {
            assert_eq!(host_id(&mappings, id), host, "{id}");
        }
        assert_eq!(map_lines(&mappings).unwrap(), "0 1000 1\n1 100000 65535\n");
        assert!(map_lines(&[mapping(0, 0, 0)]).is_err());
    }

    #[test]
    fn a_mount_namespace_is_needed() {
        assert!(NamespacePlan::new(&Linux::default(), Vec::new()).is_err());
        let mount = Namespace { kind: NamespaceType::Mount, path: String::new() };
        let linux = Linux { namespaces: vec![mount.clone()], ..Linux::default() };
        assert!(!NamespacePlan::new(&linux, Vec::new()).unwrap().needs_stage());
        let linux = Linux { namespaces: vec![mount.clone(), mount], ..Linux::default() };
        assert!(NamespacePlan::new(&linux, Vec::new()).is_err());
    }
}
