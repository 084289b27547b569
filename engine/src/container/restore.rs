//! What a new engine does with what the last one left: adopt, record, restart, clean.

use std::collections::HashSet;
use std::sync::Arc;

use ::container::{Container, Health, Recovered, State, Transition};
use model::ContainerId;
use shim_protocol::{Exit, Phase, Snapshot};

use super::start::{self, Cause};
use super::{connect, exit, health, remove};
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn restore(inner: &Arc<Inner>) -> Result<()> {
    tell_unreadable(inner);
    let found = inner.supervisor.recover().map_err(Error::from_kinded)?;
    let living: Vec<ContainerId> = found.iter().filter_map(living_id).collect();
    inner.networks.retain(&living);
    for container in inner.containers.list() {
        inner.storage.acquire_volumes(&container.record());
    }
    let mut supervised = HashSet::new();
    for recovered in found {
        supervised.insert(adopt(inner, recovered));
    }
    let mut to_start = Vec::new();
    for container in inner.containers.list() {
        if !supervised.contains(container.id()) {
            bring_up_to_date(inner, &container);
        }
        if container.record().config.build_step {
            remove_step(inner, container);
        } else if restarts(&container) {
            to_start.push(container);
        }
    }
    clean(inner);
    start_in_background(inner, to_start);
    Ok(())
}

/// One line for each thing whose record cannot be read; all of it stays where it is.
fn tell_unreadable(inner: &Inner) {
    for id in inner.containers.unreadable() {
        eprintln!("container {id}: its record cannot be read; it is left alone");
    }
    for name in inner.storage.volumes.unreadable() {
        eprintln!(
            "volume {name}: its record cannot be read; its data stays, and a new volume of this name has it"
        );
    }
    for (id, why) in inner.storage.images.damaged() {
        eprintln!("image {id}: it cannot be read and is left alone: {why}");
    }
    if let Some(path) = inner.networks.set_aside() {
        eprintln!("networks: their records cannot be read and were moved to {}", path.display());
    }
}

fn is_unreadable(inner: &Inner, id: &ContainerId) -> bool {
    inner.containers.unreadable().iter().any(|held| held == id.as_str())
}

fn living_id(recovered: &Recovered) -> Option<ContainerId> {
    match recovered {
        Recovered::Alive { id, snapshot } => {
            (!matches!(snapshot.phase, Phase::Exited(_))).then(|| id.clone())
        }
        Recovered::Silent { id } => Some(id.clone()),
        Recovered::Exited { .. } | Recovered::Lost { .. } => None,
    }
}

fn adopt(inner: &Arc<Inner>, recovered: Recovered) -> ContainerId {
    let (id, exit) = match recovered {
        Recovered::Alive { id, snapshot } => {
            let exit = adopt_living(inner, &id, &snapshot);
            (id, exit)
        }
        Recovered::Silent { id } => (id, None),
        Recovered::Exited { id, exit } | Recovered::Lost { id, exit } => (id, Some(exit)),
    };
    if let Some(exit) = exit {
        match inner.containers.get(&id) {
            Some(container) => ended_meanwhile(inner, &container, &exit),
            None if is_unreadable(inner, &id) => {}
            None => inner.supervisor.acknowledge(&id),
        }
    }
    id
}

/// Makes the record say what the shim says; the exit when it has ended.
fn adopt_living(inner: &Arc<Inner>, id: &ContainerId, snapshot: &Snapshot) -> Option<Exit> {
    let Some(container) = inner.containers.get(id) else {
        if is_unreadable(inner, id) {
            // It runs on; whoever mends the record gets it back.
            return None;
        }
        // Half-made: its record never was, or is gone already.
        inner.supervisor.kill_hard(id);
        inner.supervisor.acknowledge(id);
        return None;
    };
    let state = match &snapshot.phase {
        Phase::Exited(exit) => return Some(exit.clone()),
        Phase::Running => State::Running { pid: snapshot.pid },
        Phase::Paused => State::Paused { pid: snapshot.pid },
        Phase::Empty | Phase::Created => {
            // The engine died between making and starting it; the start was never acknowledged.
            inner.supervisor.kill_hard(id);
            inner.supervisor.acknowledge(id);
            return None;
        }
    };
    container.update_volatile(|record| {
        record.lifecycle.state = state;
        record.lifecycle.started_at = snapshot.started_at.or(record.lifecycle.started_at);
    });
    inner.live(id).adopt_streams();
    refresh_network(inner, &container);
    if container.record().config.health.is_some() {
        container.update_health(|held| *held = Health::starting());
        health::schedule(inner, &container);
    }
    None
}

/// Addresses and ports are the network component's to know; a record written before the last start lacks them.
fn refresh_network(inner: &Inner, container: &Container) {
    let endpoints = inner.networks.endpoints_of_container(container.id());
    container.update_volatile(|record| {
        for endpoint in &endpoints {
            let attachment = record.network.networks.entry(endpoint.network_name.clone()).or_default();
            connect::fill_attachment(attachment, endpoint);
        }
    });
}

fn ended_meanwhile(inner: &Arc<Inner>, container: &Arc<Container>, exit: &Exit) {
    if !container.record().lifecycle.state.has_process() {
        // Started, and the engine died before it could write that down.
        container.update_volatile(|record| record.lifecycle.state = State::Running { pid: 1 });
    }
    exit::ended(inner, container.id(), exit);
}

/// A container without shim: what its record says of processes cannot be true.
fn bring_up_to_date(inner: &Arc<Inner>, container: &Arc<Container>) {
    let state = container.record().lifecycle.state.clone();
    match state {
        State::Running { .. } | State::Paused { .. } => {
            let exit = Exit { code: 255, signal: None, oom_killed: false, at: model::Timestamp::now() };
            // The machine went down with it (or the exec root was emptied).
            record_end(container, &exit);
        }
        State::Removing => {
            container.update_volatile(|record| record.lifecycle.state = State::Dead);
            if let Err(error) = remove::remove_held(inner, container, true, false) {
                eprintln!("container {}: finishing its removal failed: {error}", container.id());
            }
            return;
        }
        _ => {}
    }
    if container.record().config.auto_remove && !container.record().lifecycle.state.is_running() {
        remove::remove_after_exit(inner, container);
    }
}

/// What a build was doing when its engine ended: whoever waited for it is gone.
fn remove_step(inner: &Arc<Inner>, container: Arc<Container>) {
    let job_inner = Arc::clone(inner);
    inner.worker.run(move || {
        let _operation = container.operate();
        if let Err(error) = remove::remove_held(&job_inner, &container, true, true) {
            eprintln!("container {}: removing a build's step failed: {error}", container.id());
        }
    });
}

fn record_end(container: &Container, exit: &Exit) {
    let step = Transition::Exited { code: exit.code, oom_killed: exit.oom_killed, at: exit.at };
    if let Err(error) = container.step(step) {
        eprintln!("container {}: {}", container.id(), model::error::chain(&error));
    }
}

fn restarts(container: &Container) -> bool {
    let record = container.record();
    let lifecycle = &record.lifecycle;
    match lifecycle.state {
        State::Restarting => !lifecycle.stopped_by_user,
        State::Exited => {
            // 255 is what a machine that went down leaves: it ran until then.
            let was_running = lifecycle.exit_code == 255 || lifecycle.exit_code == 137;
            record.config.restart.restarts_with_engine(
                was_running,
                lifecycle.exit_code,
                lifecycle.stopped_by_user,
            )
        }
        _ => false,
    }
}

/// Removes what belongs to no container: writable layers and folders of creations that were cut off.
fn clean(inner: &Inner) {
    let known: HashSet<String> =
        inner.containers.list().iter().map(|container| container.id().to_string()).collect();
    let kept = |id: &str| known.contains(id) || inner.containers.unreadable().iter().any(|held| held == id);
    for key in inner.storage.root_keys() {
        if !kept(&key) {
            inner.storage.remove_root(&key);
        }
    }
    for folder in [inner.layout.containers_dir(), inner.layout.run_dir()] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_id = name.parse::<ContainerId>().is_ok();
            let connected = name.parse().is_ok_and(|id| inner.supervisor.is_connected(&id));
            if is_id && !kept(&name) && !connected {
                // A folder that cannot be removed is tried again at the next start.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn start_in_background(inner: &Arc<Inner>, containers: Vec<Arc<Container>>) {
    for container in containers {
        let job_inner = Arc::clone(inner);
        inner.worker.run(move || {
            let _operation = container.operate();
            let state = container.record().lifecycle.state.clone();
            if job_inner.is_closing() || !matches!(state, State::Exited | State::Restarting) {
                return;
            }
            if let Err(error) = start::start(&job_inner, &container, Cause::Policy) {
                eprintln!("container {}: start failed: {error}", container.id());
            }
        });
    }
}
