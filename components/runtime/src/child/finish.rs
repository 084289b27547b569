//! The last steps before execve: limits, working directory, identity, descriptors.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use linux::capability::Set;
use linux::path_buffer::PathBuffer;
use linux::root::RootDir;
use linux::{Errno, SysResult};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::Side;
use crate::hook::HookFiles;
use crate::plan::ProcessPlan;
use crate::report::{At, Fault, StepResult};
use crate::request::Stdio;
use crate::step::Step;

const KILL: i32 = 9;

/// Makes the working directory of a new container if its root lacks it.
pub(super) fn make_directory(process: &ProcessPlan, root: &RootDir) -> StepResult<'static> {
    match root.make_dirs(process.directory.as_c_str(), Mode::from_raw_mode(0o755)) {
        // Entering it will say what is wrong, in the words people know.
        Ok(_) | Err(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::ROFS) => Ok(()),
        Err(error) => Err(error).at(Step::WorkingDirectory),
    }
}

/// Limits, labels, directory, user, groups, capabilities.
pub(super) fn prepare(process: &ProcessPlan) -> StepResult<'static> {
    schedule(process)?;
    let entered = enter_directory(process);
    for (index, limit) in process.rlimits.iter().enumerate() {
        limit.apply().at(Step::Rlimit).map_err(|fault| Fault { index, ..fault })?;
    }
    become_user(process)?;
    if process.die_with_parent {
        // Changing the user forgets it, so it comes after; the gate, which the parent holds, closes the gap before.
        linux::process::set_parent_death_signal(KILL).at(Step::Identity)?;
    }
    rustix::process::umask(Mode::from_raw_mode(process.umask));
    match entered {
        // Some directories only the user may enter (a home on a network, for instance).
        Err(Errno::ACCESS | Errno::PERM) => enter_directory(process).at(Step::WorkingDirectory)?,
        result => result.at(Step::WorkingDirectory)?,
    }
    check_directory().at(Step::WorkingDirectory)
}

fn schedule(process: &ProcessPlan) -> StepResult<'static> {
    if let Some(scheduling) = process.scheduling {
        scheduling.apply().at(Step::Scheduler)?;
    }
    if let Some((class, priority)) = process.io_priority {
        linux::scheduling::set_io_priority(class, priority).at(Step::IoPriority)?;
    }
    if let Some(affinity) = &process.affinity {
        affinity.apply_affinity().at(Step::Affinity)?;
    }
    if let Some((mode, nodes)) = &process.memory_policy {
        linux::scheduling::set_memory_policy(*mode, nodes.as_ref()).at(Step::MemoryPolicy)?;
    }
    if let Some(personality) = process.personality {
        linux::identity::set_personality(personality).at(Step::Personality)?;
    }
    Ok(())
}

/// Links of /proc (to a descriptor somebody forgot to close) are no way into a directory.
fn enter_directory(process: &ProcessPlan) -> SysResult<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let directory = rustix::fs::openat2(CWD, process.directory.as_c_str(), flags, Mode::empty(), resolve)?;
    rustix::process::fchdir(directory)
}

/// The kernel names a directory outside of the root `(unreachable)`.
fn check_directory() -> SysResult<()> {
    let mut buffer = [0; 4096];
    match linux::identity::working_directory(&mut buffer) {
        Ok(path) if path.starts_with(b"/") => Ok(()),
        Ok(_) => Err(Errno::NOENT),
        // Too long a path is inside: outside ones are told by their first byte.
        Err(Errno::RANGE | Errno::NAMETOOLONG) => Ok(()),
        Err(error) => Err(error),
    }
}

fn become_user(process: &ProcessPlan) -> StepResult<'static> {
    let mut sets = process.capabilities;
    sets.apply_bounding().at(Step::Capabilities)?;
    linux::identity::keep_capabilities(true).at(Step::Capabilities)?;
    set_groups(process).at(Step::Identity)?;
    linux::identity::set_uid(process.uid).at(Step::Identity)?;
    linux::identity::keep_capabilities(false).at(Step::Capabilities)?;
    if process.filter.as_ref().is_some_and(|filter| filter.needs_privilege) {
        // Only until execve, which computes the sets anew from the bounding and ambient ones.
        let administrator = Set::from_bits(1 << 21);
        sets.permitted = sets.permitted.or(administrator);
        sets.effective = sets.effective.or(administrator);
    }
    sets.apply().at(Step::Capabilities)?;
    if process.no_new_privileges {
        linux::identity::set_no_new_privileges().at(Step::Identity)?;
    }
    Ok(())
}

/// A user namespace without the right to set groups has none to drop.
fn set_groups(process: &ProcessPlan) -> SysResult<()> {
    match linux::identity::set_groups(process.gid, &process.groups) {
        Err(Errno::PERM) if process.groups.len() <= 1 => linux::identity::set_gid(process.gid),
        result => result,
    }
}

/// Where descriptors are after [`arrange_descriptors`]: all closed by execve.
pub(super) struct Placed {
    pub(super) channel: BorrowedFd<'static>,
    pub(super) gate: Option<BorrowedFd<'static>>,
    /// State for hooks, and what they print.
    pub(super) hooks: Option<(BorrowedFd<'static>, BorrowedFd<'static>)>,
    init: Option<BorrowedFd<'static>>,
}

/// Standard streams to their places, what is still needed right behind what the command inherits, the rest closed.
pub(super) fn arrange_descriptors(
    process: &ProcessPlan,
    side: &Side<'_>,
    hooks: Option<&HookFiles>,
) -> StepResult<'static, Placed> {
    arrange(process, side, hooks).at(Step::Descriptors)
}

fn arrange(process: &ProcessPlan, side: &Side<'_>, hooks: Option<&HookFiles>) -> SysResult<Placed> {
    let first = 3 + RawFd::try_from(process.preserve).map_err(|_| Errno::BADF)?;
    // First away from all places, so that none is overwritten before it is moved.
    let above = |fd: BorrowedFd<'_>| linux::descriptor::duplicate_above(fd, first + 8).map(ManuallyDrop::new);
    let channel = above(side.channel)?;
    let gate = side.gate.map(above).transpose()?;
    let init = process.init.as_ref().map(|(program, _)| above(program.as_fd())).transpose()?;
    let state = hooks.map(|files| above(files.created.as_fd())).transpose()?;
    let output = hooks.map(|files| above(files.output.as_fd())).transpose()?;
    if let Stdio::Descriptors { stdin, stdout, stderr } = &process.stdio {
        let streams = [above(stdin.as_fd())?, above(stdout.as_fd())?, above(stderr.as_fd())?];
        for (number, stream) in (0..).zip(&streams) {
            linux::descriptor::place_in_child(stream.as_fd(), number)?;
        }
    }
    for number in 3..first {
        linux::descriptor::place_in_child(linux::descriptor::borrowed_in_child(number), number)?;
    }
    let mut next = first;
    let mut place = |moved: &OwnedFd| -> SysResult<BorrowedFd<'static>> {
        linux::descriptor::place_closing_in_child(moved.as_fd(), next)?;
        next += 1;
        Ok(linux::descriptor::borrowed_in_child(next - 1))
    };
    let state = state.as_deref().map(&mut place).transpose()?;
    let output = output.as_deref().map(&mut place).transpose()?;
    let placed = Placed {
        hooks: state.zip(output),
        channel: place(&channel)?,
        gate: gate.as_deref().map(&mut place).transpose()?,
        init: init.as_deref().map(&mut place).transpose()?,
    };
    linux::descriptor::close_from_in_child(next)?;
    Ok(placed)
}

/// Installs the filter and becomes the command. Only returns when that fails, with the exit code for it: the maker
/// believes the command runs, so the reason goes where the command's own complaints would.
pub(super) fn execute(process: &ProcessPlan, program: &PathBuffer, placed: &Placed) -> i32 {
    linux::signal::restore_defaults();
    if let Some(filter) = process.filter.as_ref().filter(|filter| !filter.program.notifies())
        && let Err(error) = filter.program.install()
    {
        say(&[b"error setting seccomp filter: ", linux::errno::text(error).as_bytes(), b"\n"]);
        return 255;
    }
    let error = match (&process.init, placed.init) {
        (Some((_, arguments)), Some(program)) => {
            linux::execute::descriptor(program, arguments, &process.environment)
        }
        _ => linux::execute::path(program.as_c_str(), &process.arguments, &process.environment),
    };
    say(&[b"exec ", program.as_bytes(), b": ", linux::errno::text(error).as_bytes(), b"\n"]);
    255
}

fn say(pieces: &[&[u8]]) {
    let mut text = PathBuffer::new();
    for piece in pieces {
        let _ = text.append(piece);
    }
    let _ = rustix::io::write(linux::descriptor::borrowed_in_child(2), text.as_bytes());
}
