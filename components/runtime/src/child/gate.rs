//! The gate: a container's process waits here until somebody lets its command run.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _};

use linux::SysResult;

use super::finish::Placed;
use crate::hook::ChildHooks;
use crate::plan::{Plan, ProcessPlan};
use crate::report::{At, Fault, StepResult, Teller};
use crate::step::Step;

/// Runs the hooks that belong between the mounts and the change of the root.
pub(super) fn run_create_hooks(hooks: &ChildHooks) -> StepResult<'static> {
    let Some(files) = &hooks.files else { return Ok(()) };
    for (index, hook) in hooks.create_container.iter().enumerate() {
        hook.run(files.creating.as_fd(), files.output.as_fd()).map_err(|errno| hook_fault(errno, index))?;
    }
    Ok(())
}

/// Says that everything is ready and waits. The result is where to tell what happens from then on.
pub(super) fn pass(plan: &Plan, placed: &Placed) -> StepResult<'static, BorrowedFd<'static>> {
    hand_filter_over(&plan.process, placed)?;
    let teller = Teller(placed.channel);
    teller.ready().at(Step::Channel)?;
    match placed.gate {
        None => teller.wait().at(Step::Channel).map(|()| placed.channel),
        Some(gate) => wait_for_connection(gate).at(Step::Channel),
    }
}

/// A filter that asks a listener has to be installed while its descriptor can still be handed over.
pub(super) fn hand_filter_over(process: &ProcessPlan, placed: &Placed) -> StepResult<'static> {
    let Some(filter) = process.filter.as_ref().filter(|filter| filter.program.notifies()) else {
        return Ok(());
    };
    if let Some(listener) = filter.program.install().at(Step::Seccomp)? {
        Teller(placed.channel).listener(listener.as_fd()).at(Step::Seccomp)?;
    }
    Ok(())
}

/// The connection stays open until execve closes it, which is how the other side learns that the command runs.
fn wait_for_connection(gate: BorrowedFd<'_>) -> SysResult<BorrowedFd<'static>> {
    loop {
        let connection = rustix::net::accept_with(gate, rustix::net::SocketFlags::CLOEXEC)?;
        // Somebody may connect and go away without a word.
        if Teller(connection.as_fd()).wait().is_ok() {
            return Ok(linux::descriptor::borrowed_in_child(connection.into_raw_fd()));
        }
    }
}

/// Runs the hooks that belong before the command.
pub(super) fn run_start_hooks(plan: &Plan, placed: &Placed) -> StepResult<'static> {
    let Some((state, output)) = placed.hooks else { return Ok(()) };
    for (index, hook) in plan.hooks.start_container.iter().enumerate() {
        hook.run(state, output).map_err(|errno| hook_fault(errno, index))?;
    }
    Ok(())
}

fn hook_fault(errno: linux::Errno, index: usize) -> Fault<'static> {
    Fault { step: Step::Hook, errno, index, subject: b"" }
}
