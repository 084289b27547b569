//! What the new process does until it becomes the container's command.
//!
//! ```text
//! caller: create ──clone──> [stage] ──clone──> container process
//!                                               wait for id maps      (user namespace or stage)
//!                                               cgroup, session, namespaces
//!                                               root, mounts, devices, terminal
//!         caller's hooks <──Mounted──           hooks of its own
//!                                               names, sysctl, pivot, masks
//!                                               limits, labels, identity, descriptors, command found
//!                        <──Ready───            gate
//!                                               hooks, filter, execve
//! ```
//!
//! Everything here runs in a copy of the caller's memory, possibly made while other threads held locks: nothing in
//! this folder allocates, prints or waits for a lock. Failures are [`Fault`]s told through the channel.

mod copy;
mod device;
mod enter;
mod finish;
mod gate;
mod hide;
mod home;
mod lookup;
mod mount;
mod root;
mod stage;
mod terminal;

use std::os::fd::BorrowedFd;

use linux::namespace::Namespaces;
use linux::path_buffer::PathBuffer;
use linux::procfs::ProcFs;
use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{CWD, Mode, OFlags};

pub(crate) use enter::ExecEntry;
pub(crate) use lookup::{LookupKind, kind_of as lookup_kind};
pub(crate) use stage::{stage_container, stage_exec};

use crate::hook::HookFiles;
use crate::plan::{Plan, ProcessPlan};
use crate::report::{At, Fault, StepResult, Teller};
use crate::step::Step;

/// The ends of the channel and the gate in the new process.
pub(crate) struct Side<'a> {
    /// To the maker.
    pub(crate) channel: BorrowedFd<'a>,
    /// A listening socket where somebody lets the command run; none when the maker does.
    pub(crate) gate: Option<BorrowedFd<'a>>,
    /// The maker says when id maps are written.
    pub(crate) waits: bool,
}

/// Exit code of a process whose setup failed; the maker has been told why.
const FAILED: i32 = 1;

/// Becomes a container. Returns an exit code when that fails.
pub(crate) fn become_container(plan: &mut Plan, side: &Side<'_>) -> i32 {
    let teller = Teller(side.channel);
    match set_up(plan, side, &teller) {
        Ok(root) => home::set(&mut plan.process, &root),
        Err(fault) => return fail(side.channel, fault),
    }
    let hooks = plan.hooks.files.as_ref().filter(|_| !plan.hooks.start_container.is_empty());
    let (program, placed) = match finish_setup(&plan.process, side, hooks) {
        Ok(finished) => finished,
        Err(fault) => return fail(side.channel, fault),
    };
    let channel = match gate::pass(plan, &placed) {
        Ok(channel) => channel,
        Err(fault) => return fail(placed.channel, fault),
    };
    match gate::run_start_hooks(plan, &placed) {
        Ok(()) => finish::execute(&plan.process, &program, &placed),
        Err(fault) => fail(channel, fault),
    }
}

/// Becomes an additional process of a container whose namespaces (except the cgroup namespace) are joined already.
pub(crate) fn become_exec(process: &mut ProcessPlan, entry: &ExecEntry<'_>, side: &Side<'_>) -> i32 {
    let teller = Teller(side.channel);
    match set_up_exec(process, entry, &teller) {
        Ok(root) => home::set(process, &root),
        Err(fault) => return fail(side.channel, fault),
    }
    let (program, placed) = match finish_setup(process, side, None) {
        Ok(finished) => finished,
        Err(fault) => return fail(side.channel, fault),
    };
    match gate::hand_filter_over(process, &placed) {
        Ok(()) => finish::execute(process, &program, &placed),
        Err(fault) => fail(placed.channel, fault),
    }
}

fn fail(channel: BorrowedFd<'_>, fault: Fault<'_>) -> i32 {
    Teller(channel).fault(fault);
    FAILED
}

/// What both kinds of processes do last, and what is left open then.
fn finish_setup(
    process: &ProcessPlan,
    side: &Side<'_>,
    hooks: Option<&HookFiles>,
) -> StepResult<'static, (PathBuffer, finish::Placed)> {
    finish::prepare(process)?;
    let program = lookup::find(process)?;
    Ok((program, finish::arrange_descriptors(process, side, hooks)?))
}

fn set_up_exec<'a>(
    process: &'a ProcessPlan,
    entry: &ExecEntry<'_>,
    teller: &Teller<'_>,
) -> StepResult<'a, RootDir> {
    enter::enter_container(process, entry, teller)?;
    let root = open_root().at(Step::Root)?;
    terminal::set_up(&process.stdio, &root, false, teller)?;
    labels(process, None)?;
    Ok(root)
}

fn set_up<'a>(plan: &'a Plan, side: &Side<'_>, teller: &Teller<'_>) -> StepResult<'a, RootDir> {
    enter::enter_own(plan, side, teller)?;
    if plan.namespaces.new.contains(Namespaces::NETWORK) {
        linux::loopback::bring_up().at(Step::NetDevice)?;
    }
    rustix::process::umask(Mode::empty());
    let root = root::attach(plan)?;
    mount::mount_all(&plan.mounts, &root)?;
    if let Some(devices) = &plan.devices {
        device::make_all(devices, &root)?;
    }
    terminal::set_up(&plan.process.stdio, &root, plan.devices.is_some(), teller)?;
    set_names(plan)?;
    write_to_proc(plan)?;
    if plan.caller_hooks {
        teller.mounted().and_then(|()| teller.wait()).at(Step::Hook)?;
    }
    gate::run_create_hooks(&plan.hooks)?;
    finish::make_directory(&plan.process, &root)?;
    root::become_root(plan, &root)?;
    hide::make_read_only(&plan.read_only, &root)?;
    hide::mask(&plan.masked, &root)?;
    Ok(root)
}

fn set_names<'a>(plan: &Plan) -> StepResult<'a> {
    if !plan.host_name.is_empty() {
        linux::identity::set_host_name(&plan.host_name).at(Step::HostName)?;
    }
    if !plan.domain_name.is_empty() {
        linux::identity::set_domain_name(&plan.domain_name).at(Step::DomainName)?;
    }
    Ok(())
}

/// Kernel parameters and labels, through a proc file system that nobody can have mounted anything over.
fn write_to_proc<'a>(plan: &'a Plan) -> StepResult<'a> {
    if plan.sysctls.is_empty() && plan.process.labels.is_empty() {
        return Ok(());
    }
    let proc = own_proc().at(Step::Proc)?;
    for (path, value) in &plan.sysctls {
        proc.write(path, value).about(Step::Sysctl, path.to_bytes())?;
    }
    labels(&plan.process, Some(&proc))
}

fn labels(process: &ProcessPlan, proc: Option<&ProcFs>) -> StepResult<'static> {
    if process.labels.is_empty() {
        return Ok(());
    }
    let own = if proc.is_none() { Some(own_proc().at(Step::Proc)?) } else { None };
    let proc = proc.or(own.as_ref()).ok_or(Errno::NOENT).at(Step::Proc)?;
    process.labels.iter().try_for_each(|(path, value)| proc.write(path, value).at(Step::Label))
}

/// Where the kernel allows no new proc file system (somebody else's pid namespace), the one mounted is checked.
fn own_proc() -> SysResult<ProcFs> {
    ProcFs::new().or_else(|_| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        ProcFs::from_fd(rustix::fs::openat(CWD, c"/proc", flags, Mode::empty())?)
    })
}

fn open_root() -> SysResult<RootDir> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(RootDir::from_fd(rustix::fs::openat(CWD, c"/", flags, Mode::empty())?))
}
