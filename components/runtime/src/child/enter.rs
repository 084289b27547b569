//! The first steps: control group, session, namespaces.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::Errno;
use linux::namespace::Namespaces;

use super::Side;
use super::stage::join_all;
use crate::plan::{Plan, ProcessPlan};
use crate::report::{At, StepResult, Teller};
use crate::step::Step;

/// What an additional process enters beside the namespaces its maker has joined for it.
pub(crate) struct ExecEntry<'a> {
    /// Version 1 `tasks` files of the container's cgroup.
    pub(crate) tasks: &'a [OwnedFd],
    /// A process of the container, whose cgroup namespace is joined.
    pub(crate) target: BorrowedFd<'a>,
    /// Whether to join that.
    pub(crate) cgroup_namespace: bool,
    /// The user namespace is another one than the caller's.
    pub(crate) user_namespace: bool,
}

/// Enters a container that is being made.
pub(super) fn enter_own<'a>(plan: &Plan, side: &Side<'_>, teller: &Teller<'_>) -> StepResult<'a> {
    // Until execve nobody in the container may look into this copy of the caller.
    linux::identity::set_dumpable(false).at(Step::Clone)?;
    if side.waits {
        teller.wait().at(Step::Channel)?;
    }
    enter_cgroup(&plan.cgroup_tasks)?;
    if plan.namespaces.has_user() {
        become_root()?;
    }
    if !plan.namespaces.needs_stage() {
        join_all(&plan.namespaces.joined)?;
    }
    if let Some((kind, fd)) = plan.namespaces.joined.iter().find(|(kind, _)| *kind == Namespaces::CGROUP) {
        linux::namespace::join(fd.as_fd(), *kind).at(Step::Namespace)?;
    }
    if plan.new_cgroup_namespace {
        linux::namespace::unshare(Namespaces::CGROUP).at(Step::Namespace)?;
    }
    begin_session(plan.process.keep_keyring)
}

/// Enters a container that exists.
pub(super) fn enter_container<'a>(
    process: &ProcessPlan,
    entry: &ExecEntry<'_>,
    teller: &Teller<'_>,
) -> StepResult<'a> {
    linux::identity::set_dumpable(false).at(Step::Clone)?;
    teller.wait().at(Step::Channel)?;
    enter_cgroup(entry.tasks)?;
    if entry.cgroup_namespace {
        linux::namespace::join(entry.target, Namespaces::CGROUP).at(Step::Namespace)?;
    }
    if entry.user_namespace {
        become_root()?;
    }
    begin_session(process.keep_keyring)
}

fn enter_cgroup<'a>(tasks: &[OwnedFd]) -> StepResult<'a> {
    linux::cgroup::join(tasks)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .at(Step::Cgroup)
}

/// In a new user namespace the ids are nobody's until they are set.
fn become_root<'a>() -> StepResult<'a> {
    linux::identity::set_gid(0).and_then(|()| linux::identity::set_uid(0)).at(Step::BecomeRoot)
}

fn begin_session<'a>(keep_keyring: bool) -> StepResult<'a> {
    rustix::process::setsid().map(drop).at(Step::Session)?;
    if !keep_keyring {
        // A kernel without keyrings, or with the caller's quota used up, is no reason not to start.
        let _ = linux::identity::new_session_keyring();
    }
    Ok(())
}
