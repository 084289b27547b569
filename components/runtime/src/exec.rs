//! Running one more process in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use linux::cgroup::{Cgroup, Hierarchies};
use linux::clone::Clone;
use linux::namespace::Namespaces;

use crate::birth::{Birth, Watch};
use crate::child::{ExecEntry, Side, stage_exec};
use crate::error::{Error, Result};
use crate::plan::{Extra, ProcessPlan, namespace_flag};
use crate::report;
use crate::request::ExecRequest;
use crate::step::Step;

/// A process that runs in a container.
#[derive(Debug)]
pub struct Exec {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// A handle of it; it is a child of the caller, which reaps it.
    pub pidfd: OwnedFd,
    /// The master end of its terminal, if it has one.
    pub pty_master: Option<OwnedFd>,
}

/// Runs a process in a container and returns once its program has been executed.
pub fn exec(request: ExecRequest) -> Result<Exec> {
    let ExecRequest {
        target,
        target_pid,
        process,
        stdio,
        seccomp,
        personality,
        preserve,
        namespaces,
        cgroup,
        no_new_keyring,
    } = request;
    let extra = Extra {
        stdio,
        filter: seccomp,
        seccomp: None,
        init: None,
        preserve,
        personality,
        keep_keyring: no_new_keyring,
        die_with_parent: false,
    };
    let mut plan = ProcessPlan::new(&process, extra)?;
    let kinds = kinds_to_join(target_pid, namespaces.as_deref())?;
    let group = find_cgroup(target_pid, cgroup.as_deref())?;
    let tasks = group.as_ref().map(Cgroup::tasks).transpose()?.unwrap_or_default();
    own_streams(&plan, target_pid);
    let entry = ExecEntry {
        tasks: &tasks,
        target: target.as_fd(),
        cgroup_namespace: kinds.contains(Namespaces::CGROUP),
        user_namespace: kinds.contains(Namespaces::USER),
    };
    let (ours, theirs) = report::channel().map_err(Error::system(Step::Channel, ""))?;
    let side = Side { channel: theirs.as_fd(), gate: None, waits: true };
    let entrance = group.as_ref().and_then(Cgroup::entrance);
    let made = Clone::default().run(|| stage_exec(&mut plan, kinds, &entry, entrance, &side));
    let stage = made.map_err(Error::system(Step::Clone, ""))?;
    drop(theirs);
    let (pid, pidfd, pty_master) =
        Watch::of_exec(ours.as_fd(), &process).until_ready(Birth::Staged(stage))?;
    Ok(Exec { pid, pidfd, pty_master })
}

/// All kinds, or those asked for; the user namespace only if it is another one (joining one's own is refused), and the
/// cgroup namespace, too: the machine's is out of reach once in a user namespace.
fn kinds_to_join(pid: i32, wanted: Option<&[oci::runtime::NamespaceType]>) -> Result<Namespaces> {
    let mut kinds = match wanted {
        Some(wanted) => wanted.iter().fold(Namespaces::NONE, |kinds, kind| kinds | namespace_flag(*kind)),
        None => {
            Namespaces::MOUNT
                | Namespaces::PID
                | Namespaces::NETWORK
                | Namespaces::IPC
                | Namespaces::UTS
                | Namespaces::CGROUP
        }
    };
    for (name, kind) in
        [("user", Namespaces::USER), ("time", Namespaces::TIME), ("cgroup", Namespaces::CGROUP)]
    {
        let asked = wanted.is_none() || kinds.contains(kind);
        kinds = kinds.without(kind);
        if asked && differs(pid, name)? {
            kinds |= kind;
        }
    }
    Ok(kinds)
}

fn differs(pid: i32, name: &str) -> Result<bool> {
    let inode = |path: String| {
        std::fs::metadata(&path).map(|meta| meta.ino()).map_err(|error| Error::System {
            step: Step::Namespace,
            subject: path,
            errno: linux::Errno::from_io_error(&error).unwrap_or(linux::Errno::IO),
        })
    };
    Ok(inode(format!("/proc/{pid}/ns/{name}"))? != inode(format!("/proc/self/ns/{name}"))?)
}

/// The target's own cgroup (it may have moved into one below its container's), or one that was asked for.
fn find_cgroup(pid: i32, path: Option<&str>) -> Result<Option<Cgroup>> {
    let Ok(hierarchies) = Hierarchies::of_this_process() else { return Ok(None) };
    Ok(Some(match path {
        Some(path) => hierarchies.open(&crate::cgroup::path(path))?,
        None => hierarchies.of_process(u32::try_from(pid).unwrap_or_default())?,
    }))
}

/// The streams' owner is the user as the host sees it, through the target's id map.
fn own_streams(plan: &ProcessPlan, pid: i32) {
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    if let Some(owner) = mapped(&map, plan.uid) {
        crate::stream::own_as(&plan.stdio, owner);
    }
}

fn mapped(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = id.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset).filter(|id| *id != u32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::mapped;

    #[test]
    fn ids_are_seen_from_outside() {
        let map = "         0     100000      65536\n";
        for (id, outside) in [(0, Some(100_000)), (65_535, Some(165_535)), (65_536, None)] {
            assert_eq!(mapped(map, id), outside);
        }
        assert_eq!(mapped("0 0 4294967295", 7), Some(7));
    }
}
