//! What shims report: ends of containers and execs, lack of memory, clients that left.

use std::sync::Arc;

use ::container::{Container, ShimEvent, State, Transition};
use model::{ContainerId, Timestamp};
use shim_protocol::{Event, Exit, Target};

use super::start::{self, Cause};
use super::{events, remove};
use crate::engine::Inner;

/// Called on the supervisor's thread: what takes time is handed over.
pub(crate) fn heard(inner: &Arc<Inner>, id: &ContainerId, event: ShimEvent) {
    match event {
        ShimEvent::Said(Event::Exited(exit)) | ShimEvent::Lost(exit) => {
            let job_inner = Arc::clone(inner);
            let id = id.clone();
            inner.worker.run(move || ended(&job_inner, &id, &exit));
        }
        ShimEvent::Said(Event::ExecExited { id: exec, exit }) => crate::exec::ended(inner, &exec, exit.code),
        ShimEvent::Said(Event::OutOfMemory) => {
            if let Some(container) = inner.containers.get(id) {
                events::container(inner, &container.record(), "oom", &[]);
            }
        }
        ShimEvent::Said(Event::AttachEnded { target, detached, .. }) => {
            if detached
                && target == Target::Init
                && let Some(container) = inner.containers.get(id)
            {
                events::container(inner, &container.record(), "detach", &[]);
            }
        }
    }
}

/// The end of a run: state, events, and what the restart policy wants.
pub(crate) fn ended(inner: &Arc<Inner>, id: &ContainerId, exit: &Exit) {
    let Some(container) = inner.containers.get(id) else {
        inner.supervisor.acknowledge(id);
        return;
    };
    let restart_after = {
        let live = inner.live(id);
        let _transition = live.transition();
        if !container.record().lifecycle.state.has_process()
            && container.record().lifecycle.state != State::Removing
        {
            // Reported twice, or the failed start that killed it has told already.
            inner.supervisor.acknowledge(id);
            return;
        }
        finish_run(inner, &container, exit)
    };
    match restart_after {
        Some(delay) => schedule_restart(inner, &container, delay),
        None => {
            if container.record().config.auto_remove && !inner.is_closing() {
                remove::remove_after_exit(inner, &container);
            }
        }
    }
}

/// Records the end; how long until the restart, if there is one.
fn finish_run(inner: &Arc<Inner>, container: &Arc<Container>, exit: &Exit) -> Option<std::time::Duration> {
    let id = container.id();
    let live = inner.live(id);
    drop(live.signalling());
    let record = container.record();
    live.next_run();
    live.close_streams();
    release_networks(inner, container);
    inner.execs.container_exited(id, 137);
    inner.exec_ends.wake();
    let run = record.lifecycle.started_at.map(|started| exit.at.since(started)).unwrap_or_default();
    let restarts = !inner.is_closing()
        && record.lifecycle.state != State::Removing
        && record.config.restart.restarts(
            exit.code,
            record.lifecycle.restart_count,
            record.lifecycle.stopped_by_user,
        );
    let seconds = run.as_secs();
    let attributes = [("execDuration", seconds.to_string()), ("exitCode", exit.code.to_string())];
    events::volumes(inner, &record, "unmount");
    events::container(inner, &record, "die", &attributes);
    let step = if restarts {
        Transition::ExitedToRestart { code: exit.code, oom_killed: exit.oom_killed, at: exit.at }
    } else {
        Transition::Exited { code: exit.code, oom_killed: exit.oom_killed, at: exit.at }
    };
    if let Err(error) = container.step(step) {
        eprintln!("container {id}: recording its end failed: {}", model::error::chain(&error));
    }
    // Only when the end is recorded may the shim, which remembers it too, go.
    inner.supervisor.acknowledge(id);
    restarts.then(|| live.back_off().next_delay(run))
}

/// Disconnects a container whose process is gone.
pub(crate) fn release_networks(inner: &Inner, container: &Container) {
    for endpoint in inner.networks.release_container(container.id()) {
        events::network(inner, &endpoint, "disconnect");
    }
    container.update_volatile(|record| {
        record.network.sandbox_id.clear();
        record.network.sandbox_key.clear();
        record.network.ports.clear();
        for attachment in record.network.networks.values_mut() {
            attachment.endpoint_id.clear();
            attachment.gateway.clear();
            attachment.ip_address.clear();
            attachment.ip_prefix_len = 0;
            attachment.ipv6_gateway.clear();
            attachment.global_ipv6_address.clear();
            attachment.global_ipv6_prefix_len = 0;
            attachment.mac_address.clear();
        }
    });
}

/// Starts the container again after a while, unless something else happens to it first.
pub(crate) fn schedule_restart(inner: &Arc<Inner>, container: &Arc<Container>, delay: std::time::Duration) {
    let run = inner.live(container.id()).run();
    let job_inner = Arc::clone(inner);
    let container = Arc::clone(container);
    inner.worker.run_after(delay, move || restart_now(&job_inner, &container, run));
}

fn restart_now(inner: &Arc<Inner>, container: &Arc<Container>, run: u64) {
    let _operation = container.operate();
    let waiting = container.record().lifecycle.state == State::Restarting;
    if inner.is_closing() || !waiting || inner.live(container.id()).run() != run {
        return;
    }
    if let Err(error) = start::start(inner, container, Cause::Policy) {
        eprintln!("container {}: restart failed: {error}", container.id());
        let record = container.record();
        let lifecycle = &record.lifecycle;
        if record.config.restart.restarts(
            lifecycle.exit_code,
            lifecycle.restart_count,
            lifecycle.stopped_by_user,
        ) {
            retry(inner, container);
        }
    }
}

/// A restart that could not be made counts like a run that failed at once.
fn retry(inner: &Arc<Inner>, container: &Arc<Container>) {
    let updated = container.update(|record| {
        record.lifecycle.restart_count += 1;
        record.lifecycle.finished_at = Some(Timestamp::now());
        record.lifecycle.state = State::Restarting;
    });
    if updated.is_ok() {
        let delay = inner.live(container.id()).back_off().next_delay(std::time::Duration::ZERO);
        schedule_restart(inner, container, delay);
    }
}
