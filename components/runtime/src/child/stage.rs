//! The process in between: joins what only children enter, then makes the container's process as its sibling.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::clone::Clone;
use linux::namespace::Namespaces;

use super::{ExecEntry, Side, become_container, become_exec, fail, own_proc};
use crate::plan::{NamespacePlan, Plan, ProcessPlan};
use crate::report::{At, StepResult, Teller};
use crate::step::Step;

/// Makes the process of a new container. Returns the exit code of the process in between.
pub(crate) fn stage_container(plan: &mut Plan, cgroup: Option<BorrowedFd<'_>>, side: &Side<'_>) -> i32 {
    let entered = enter(&plan.namespaces);
    let namespaces = plan.namespaces.new.without(Namespaces::TIME);
    let clone = Clone { namespaces, cgroup, sibling: true };
    let result = entered.and_then(|()| bear(&clone, side.channel, || become_container(plan, side)));
    result.map_or_else(|fault| fail(side.channel, fault), |()| 0)
}

/// Makes an additional process of a container. Returns the exit code of the process in between.
pub(crate) fn stage_exec(
    process: &mut ProcessPlan,
    kinds: Namespaces,
    entry: &ExecEntry<'_>,
    cgroup: Option<BorrowedFd<'_>>,
    side: &Side<'_>,
) -> i32 {
    // The cgroup namespace comes later: from inside it the kernel does not let a child be born into the cgroup.
    let joined = linux::identity::set_dumpable(false)
        .and_then(|()| linux::namespace::join(entry.target, kinds.without(Namespaces::CGROUP)))
        .at(Step::Namespace);
    let clone = Clone { namespaces: Namespaces::NONE, cgroup, sibling: true };
    let result = joined.and_then(|()| bear(&clone, side.channel, || become_exec(process, entry, side)));
    result.map_or_else(|fault| fail(side.channel, fault), |()| 0)
}

fn bear(clone: &Clone<'_>, channel: BorrowedFd<'_>, child: impl FnOnce() -> i32) -> StepResult<'static> {
    let made = clone.run(child).at(Step::Clone)?;
    Teller(channel).process(made.pid, made.pidfd.as_fd()).at(Step::Channel)
}

fn enter(namespaces: &NamespacePlan) -> StepResult<'static> {
    linux::identity::set_dumpable(false).at(Step::Clone)?;
    join_all(&namespaces.joined)?;
    if !namespaces.new.contains(Namespaces::TIME) {
        return Ok(());
    }
    linux::namespace::unshare(Namespaces::TIME).at(Step::Namespace)?;
    if namespaces.time_offsets.is_empty() {
        return Ok(());
    }
    let proc = own_proc().at(Step::Proc)?;
    proc.write(c"self/timens_offsets", namespaces.time_offsets.as_bytes()).at(Step::Namespace)
}

/// Joins namespaces by descriptor. The cgroup namespace is left to the process itself, after it is in its cgroup.
pub(super) fn join_all(joined: &[(Namespaces, OwnedFd)]) -> StepResult<'static> {
    for (kind, fd) in joined.iter().filter(|(kind, _)| *kind != Namespaces::CGROUP) {
        linux::namespace::join(fd.as_fd(), *kind).at(Step::Namespace)?;
    }
    Ok(())
}
