//! `rm`: everything a container has goes, its name last.

use std::sync::Arc;

use ::container::{Container, Transition};
use model::Filters;

use super::create::SETTINGS;
use super::create_record::settings_of;
use super::parameters::RemoveParameters;
use super::{events, exit, stop};
use crate::engine::Inner;
use crate::{Error, Result};

/// `DELETE /containers/{id}`.
pub(crate) fn remove(inner: &Arc<Inner>, reference: &str, parameters: RemoveParameters) -> Result<()> {
    if parameters.link {
        return remove_link(inner, reference);
    }
    let container = inner.find(reference)?;
    let name = container.record().name.clone();
    if let Some(refusal) = container.record().lifecycle.refuse_remove(&name, parameters.force) {
        return Err(Error::from_kinded(refusal));
    }
    let _operation = container.operate();
    if inner.containers.get(container.id()).is_none() {
        // --rm was faster.
        return if parameters.force {
            Ok(())
        } else {
            Err(Error::not_found(format!("No such container: {reference}")))
        };
    }
    if let Some(refusal) = container.record().lifecycle.refuse_remove(&name, parameters.force) {
        return Err(Error::from_kinded(refusal));
    }
    remove_held(inner, &container, parameters.force, parameters.volumes)
}

/// `rm --link container/alias`.
fn remove_link(inner: &Inner, reference: &str) -> Result<()> {
    let Some((owner, alias)) = reference.trim_start_matches('/').split_once('/') else {
        inner.find(reference)?;
        return Err(Error::internal("Conflict, cannot remove the default link name of the container"));
    };
    let unknown = || Error::not_found(format!("No such container: {reference}"));
    let container = inner.find(owner).map_err(|_| unknown())?;
    let _operation = container.operate();
    let mut settings = settings_of(&container.record())?;
    let before = settings.links.len();
    settings.links.retain(|link| link.alias != alias);
    if settings.links.len() == before {
        return Err(unknown());
    }
    let value = super::create_record::document(&settings)?;
    container
        .update(|record| {
            record.extra.insert(SETTINGS.to_owned(), value);
        })
        .map_err(Error::from_kinded)?;
    Ok(())
}

/// What `--rm` asks for, once the container has ended.
pub(crate) fn remove_after_exit(inner: &Arc<Inner>, container: &Arc<Container>) {
    let Some(container) = inner.containers.get(container.id()) else { return };
    let start = Transition::Removing { force: false };
    // A removal by somebody else is on its way when this step is refused.
    let began = if container.record().lifecycle.state == ::container::State::Removing {
        return;
    } else {
        container.step(start)
    };
    if began.is_err() {
        return;
    }
    if let Err(error) = take_apart(inner, &container, true) {
        eprintln!("container {}: automatic removal failed: {error}", container.id());
    }
}

/// Removes a container whose operation lock the caller holds.
pub(crate) fn remove_held(
    inner: &Arc<Inner>,
    container: &Arc<Container>,
    force: bool,
    volumes: bool,
) -> Result<()> {
    stop_first(inner, container)?;
    if inner.containers.get(container.id()).is_none() {
        return Ok(());
    }
    container.step(Transition::Removing { force }).map_err(Error::from_kinded)?;
    take_apart(inner, container, volumes)
}

fn stop_first(inner: &Arc<Inner>, container: &Arc<Container>) -> Result<()> {
    if !container.record().lifecycle.state.is_running() {
        return Ok(());
    }
    // In memory is enough: the record goes in a moment.
    container.update_volatile(|record| {
        record.lifecycle.stopped_by_user = true;
        record.config.auto_remove = false;
    });
    if stop::call_off_restart(inner, container)? {
        return Ok(());
    }
    stop::kill_held(inner, container).map_err(|error| {
        error.prefixed(&format!("cannot remove container \"/{}\": could not kill", container.record().name))
    })
}

/// Goes on after a failure, so that a second try has less to do; the record stays until nothing else is left.
fn take_apart(inner: &Arc<Inner>, container: &Arc<Container>, volumes: bool) -> Result<()> {
    let record = container.record();
    let result = take_parts(inner, container, volumes);
    if let Err(error) = result {
        let text = error.message().to_owned();
        // The first fault is the one to tell.
        let _ = container.step(Transition::RemoveFailed { error: text });
        return Err(error);
    }
    inner.containers.remove(container).map_err(Error::from_kinded)?;
    inner.supervisor.forget(container.id());
    inner.drop_live(container.id());
    events::container(inner, &record, "destroy", &[]);
    Ok(())
}

fn take_parts(inner: &Arc<Inner>, container: &Arc<Container>, volumes: bool) -> Result<()> {
    let record = container.record();
    inner.step("remove.network")?;
    exit::release_networks(inner, container);
    inner.execs.container_removed(container.id());
    inner.step("remove.volumes")?;
    inner.storage.release_volumes(&record);
    if volumes {
        for mount in record.mounts.iter().filter(|mount| mount.anonymous) {
            crate::volume::remove_anonymous(inner, &mount.name);
        }
    }
    inner.step("remove.root")?;
    inner.storage.remove_root(&record.snapshot);
    inner.step("remove.directory")?;
    let directory = inner.layout.container_dir(record.id.as_str());
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::caused(format!("removing {}", directory.display()), error))
        }
        _ => Ok(()),
    }
}

/// `POST /containers/prune`.
pub(crate) fn prune(inner: &Arc<Inner>, filters: &Filters) -> Result<api::container::PruneResponse> {
    filters.allow_only(&["label", "label!", "until"]).map_err(Error::from_kinded)?;
    let until = super::list::parse_until(filters)?;
    let mut deleted = Vec::new();
    let mut space = 0;
    for container in inner.containers.list() {
        let record = container.record();
        let young = until.is_some_and(|until| record.created > until);
        if record.lifecycle.state.is_running() || young || !filters.match_labels(&record.config.labels) {
            continue;
        }
        let size = inner.storage.root_size(&record.snapshot);
        let _operation = container.operate();
        // Somebody may have started or removed it meanwhile; then it is not ours.
        if remove_unforced(inner, &container).is_ok() {
            space += size;
            deleted.push(container.id().to_string());
        }
    }
    let attributes = [("reclaimed".to_owned(), space.to_string())].into();
    inner.events.publish(crate::event::EventType::Container, "prune", "", attributes);
    let containers_deleted = (!deleted.is_empty()).then_some(deleted);
    Ok(api::container::PruneResponse { containers_deleted, space_reclaimed: space })
}

fn remove_unforced(inner: &Arc<Inner>, container: &Arc<Container>) -> Result<()> {
    if inner.containers.get(container.id()).is_none() {
        return Err(Error::not_found("gone"));
    }
    container.step(Transition::Removing { force: false }).map_err(Error::from_kinded)?;
    take_apart(inner, container, false)
}
