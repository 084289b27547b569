//! `stop` and `restart`: ask, wait, kill, wait.

use std::sync::Arc;
use std::time::Duration;

use ::container::{Container, State, Transition, WaitCondition};
use model::Signal;
use shim_protocol::Target;

use super::events;
use super::parameters::StopParameters;
use super::start::{self, Cause};
use crate::engine::Inner;
use crate::{Error, Result};

/// How long a killed container may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// `stop` of the API.
pub(crate) fn stop(inner: &Arc<Inner>, reference: &str, parameters: &StopParameters) -> Result<()> {
    let container = inner.find(reference)?;
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_stop(record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let failed = |error: Error| error.prefixed(&format!("cannot stop container: {reference}"));
    let signal = wanted_signal(&container, parameters).map_err(failed)?;
    let _operation = container.operate();
    stop_held(inner, &container, signal, parameters.timeout).map_err(failed)
}

/// `restart` of the API.
pub(crate) fn restart(inner: &Arc<Inner>, reference: &str, parameters: &StopParameters) -> Result<()> {
    let container = inner.find(reference)?;
    let failed = |error: Error| error.prefixed(&format!("Cannot restart container {reference}"));
    let signal = wanted_signal(&container, parameters).map_err(failed)?;
    let _operation = container.operate();
    let automatic = container.record().config.auto_remove;
    if container.record().lifecycle.state.is_running() {
        // A restart is not the end that --rm waits for.
        if automatic {
            container.update_volatile(|record| record.config.auto_remove = false);
        }
        let stopped = stop_held(inner, &container, signal, parameters.timeout);
        if automatic {
            container.update_volatile(|record| record.config.auto_remove = true);
        }
        stopped.map_err(failed)?;
    }
    start::start(inner, &container, Cause::User).map_err(failed)?;
    events::container(inner, &container.record(), "restart", &[]);
    Ok(())
}

/// The signal asked for, the container's own, or TERM.
pub(crate) fn stop_signal(container: &Container) -> Signal {
    container.record().config.stop_signal.parse().unwrap_or(Signal::TERM)
}

fn wanted_signal(container: &Container, parameters: &StopParameters) -> Result<Signal> {
    match parameters.signal.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(Error::from_kinded),
        None => Ok(stop_signal(container)),
    }
}

/// Stops a container whose operation lock the caller holds.
pub(crate) fn stop_held(
    inner: &Arc<Inner>,
    container: &Arc<Container>,
    signal: Signal,
    timeout: Option<i64>,
) -> Result<()> {
    inner.step("stop.signal")?;
    let record = container.record();
    mark_stopped(container)?;
    if call_off_restart(inner, container)? {
        events::container(inner, &container.record(), "stop", &[]);
        return Ok(());
    }
    let default = i64::from(inner.config().default_stop_timeout);
    let seconds = timeout.or(record.config.stop_timeout).unwrap_or(default);
    let waiter = container.wait(WaitCondition::NotRunning);
    let sent = send(inner, container, signal);
    let patience = match (u64::try_from(seconds), &sent) {
        (_, Err(_)) => Some(Duration::from_secs(2)),
        (Ok(seconds), Ok(())) => Some(Duration::from_secs(seconds)),
        (Err(_), Ok(())) => None,
    };
    let ended = match patience {
        Some(patience) => waiter.wait_timeout(patience).is_some(),
        None => {
            waiter.wait();
            true
        }
    };
    if !ended {
        kill_held(inner, container)?;
    }
    events::container(inner, &container.record(), "stop", &[]);
    Ok(())
}

/// Kills a container whose operation lock the caller holds, and waits for its end.
pub(crate) fn kill_held(inner: &Arc<Inner>, container: &Arc<Container>) -> Result<()> {
    let waiter = container.wait(WaitCondition::NotRunning);
    let sent = send(inner, container, Signal::KILL);
    if waiter.wait_timeout(if sent.is_ok() { KILL_PATIENCE } else { Duration::from_secs(1) }).is_some() {
        return Ok(());
    }
    // The shim does not answer or its container does not die: the kernel is asked without it.
    inner.supervisor.kill_hard(container.id());
    match waiter.wait_timeout(KILL_PATIENCE) {
        Some(_) => Ok(()),
        None => Err(Error::internal(format!(
            "could not kill container: tried to kill container, but did not receive an exit event: {}",
            container.id()
        ))),
    }
}

/// Sends a signal to the init process and tells it.
pub(crate) fn send(inner: &Inner, container: &Container, signal: Signal) -> Result<()> {
    let live = inner.live(container.id());
    let _signalling = live.signalling();
    let record = container.record();
    let sent = inner.supervisor.signal(container.id(), Target::Init, signal.number(), false);
    sent.map_err(Error::from_kinded)?;
    if record.lifecycle.state.is_paused() {
        let resumed = inner.supervisor.resume(container.id());
        if resumed.is_ok() && container.step(Transition::Resumed).is_ok() {
            events::container(inner, &container.record(), "unpause", &[]);
        }
    }
    events::container(inner, &record, "kill", &[("signal", signal.number().to_string())]);
    Ok(())
}

/// Remembers durably that a person wanted the end: no policy starts it again.
pub(crate) fn mark_stopped(container: &Container) -> Result<()> {
    if container.record().lifecycle.stopped_by_user {
        return Ok(());
    }
    container.update(|record| record.lifecycle.stopped_by_user = true).map_err(Error::from_kinded)
}

/// Ends a pending restart; true when there was one.
pub(crate) fn call_off_restart(inner: &Inner, container: &Container) -> Result<bool> {
    let live = inner.live(container.id());
    let _transition = live.transition();
    if container.record().lifecycle.state != State::Restarting {
        return Ok(false);
    }
    live.next_run();
    live.back_off().reset();
    container.step(Transition::RestartStopped).map_err(Error::from_kinded)?;
    Ok(true)
}

/// Stops everything that runs, all at the same time; used when the engine ends.
pub(crate) fn stop_all(inner: &Arc<Inner>) {
    let patience = i64::from(inner.config().shutdown_timeout);
    std::thread::scope(|scope| {
        for container in inner.containers.list() {
            if container.record().lifecycle.state.is_running() {
                scope.spawn(move || {
                    let _operation = container.operate();
                    let seconds = container.record().config.stop_timeout.unwrap_or(10).min(patience);
                    // The stop is the engine's, not the user's: the container starts again with the engine.
                    let by_user = container.record().lifecycle.stopped_by_user;
                    let stopped = stop_held(inner, &container, stop_signal(&container), Some(seconds));
                    if let Err(error) = stopped {
                        eprintln!("container {}: stopping failed: {error}", container.id());
                    }
                    let restored = container.update(|record| record.lifecycle.stopped_by_user = by_user);
                    if let Err(error) = restored {
                        eprintln!("container {}: {}", container.id(), model::error::chain(&error));
                    }
                });
            }
        }
    });
}
