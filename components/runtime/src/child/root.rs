//! The root file system: attached early, made the root late.

use std::os::fd::AsFd;

use linux::mount::{Change, Propagation, attach as attach_mount, attribute};
use linux::root::RootDir;
use rustix::fs::{CWD, Mode, OFlags};

use crate::plan::Plan;
use crate::report::{At, StepResult};
use crate::step::Step;

/// Attaches the root mount in the new mount namespace. Nothing done there reaches the host's from now on.
pub(super) fn attach<'a>(plan: &Plan) -> StepResult<'a, RootDir> {
    let slave = Change { propagation: Some(Propagation::Slave), recursive: true, ..Change::default() };
    slave.apply_at(CWD, c"/").at(Step::Propagation)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, plan.root_place.as_c_str(), flags, Mode::empty()).at(Step::Root)?;
    attach_mount(plan.root.as_fd(), place.as_fd()).at(Step::Root)?;
    plan.root
        .try_clone()
        .map_err(|error| linux::Errno::from_io_error(&error).unwrap_or(linux::Errno::MFILE))
        .at(Step::Root)
        .map(RootDir::from_fd)
}

/// Makes it the root, without anything of the host left below.
pub(super) fn become_root<'a>(plan: &Plan, root: &RootDir) -> StepResult<'a> {
    if plan.no_pivot {
        linux::mount::switch_into(root.as_fd()).at(Step::Pivot)?;
    } else {
        linux::mount::pivot_into(root.as_fd()).at(Step::Pivot)?;
    }
    if let Some((kind, recursive)) = plan.root_propagation {
        let change = Change { propagation: Some(kind), recursive, ..Change::default() };
        change.apply(root.as_fd()).at(Step::Propagation)?;
    }
    if plan.root_read_only {
        let change = Change { set: attribute::READ_ONLY, ..Change::default() };
        change.apply(root.as_fd()).at(Step::ReadOnly)?;
    }
    Ok(())
}
