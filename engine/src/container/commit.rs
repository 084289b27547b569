//! `commit`: a container's changes become a layer, its configuration an image.

use std::io::Write;

use ::container::{Container, ContainerRecord, Transition};
use api::container::Config;
use model::Timestamp;
use oci::image::{History, ImageConfig};

use super::events;
use super::merge::{self, ImageDefaults};
use super::parameters::CommitParameters;
use crate::engine::Inner;
use crate::error::Context;
use crate::image::{self, config};
use crate::{Error, Result};

pub(crate) fn commit(inner: &Inner, parameters: CommitParameters) -> Result<String> {
    if parameters.container.is_empty() {
        return Err(Error::invalid("invalid name or ID supplied: \"\""));
    }
    let name = image::target_name(&parameters.repository, &parameters.tag)?;
    let container = inner.find(&parameters.container)?;
    let record = container.record();
    let own: Config = record.documents.config.read().doing(|| "reading the configuration".to_owned())?;
    let mut wanted = parameters.config.clone().unwrap_or_else(|| own.clone());
    config::apply(&mut wanted, &parameters.changes)?;
    merge::merge(&mut wanted, &inherited(&own));
    let parent = inner.storage.images.find(&record.image_id).ok();
    let parent = parent.map(|parent| match &record.image_manifest {
        Some(manifest) => parent.with_manifest(&manifest.digest),
        None => ::image::Image::clone(&parent),
    });
    let layer = {
        let _pause = Pause::begin(inner, &container, parameters.pause)?;
        let mut writer = inner.storage.images.layer_writer().map_err(Error::from_kinded)?;
        inner.storage.snapshots.write_diff(&record.snapshot, &mut writer).map_err(Error::from_kinded)?;
        writer.flush().doing(|| "writing the layer".to_owned())?;
        writer.finish().map_err(Error::from_kinded)?
    };
    let document = image_config(&parameters, &record, &own, &wanted, parent.as_ref());
    let pending = inner
        .storage
        .images
        .create(document, parent.as_ref(), Some(layer), name.as_ref())
        .map_err(Error::from_kinded)?;
    let made = inner.storage.keep(pending)?.image;
    let id = made.id.to_string();
    let mut attributes = vec![("comment", parameters.comment.clone()), ("imageID", id.clone())];
    if let Some(name) = &name {
        attributes.push(("imageRef", name.clone().or_latest().canonical()));
        image::event(inner, "tag", &id, &name.clone().or_latest().familiar());
    }
    events::container(inner, &record, "commit", &attributes);
    Ok(id)
}

/// What a container's own configuration gives to the new image where the request says nothing.
fn inherited(own: &Config) -> ImageDefaults {
    ImageDefaults {
        env: own.env.clone().unwrap_or_default(),
        cmd: own.cmd.clone().unwrap_or_default(),
        entrypoint: own.entrypoint.clone(),
        user: own.user.clone(),
        working_dir: own.working_dir.clone(),
        labels: own.labels.clone().unwrap_or_default(),
        exposed_ports: own.exposed_ports.iter().flatten().map(|(port, _)| port.clone()).collect(),
        volumes: own.volumes.iter().flatten().map(|(path, _)| path.clone()).collect(),
        stop_signal: own.stop_signal.clone(),
        healthcheck: own.healthcheck.clone(),
        shell: own.shell.clone(),
        on_build: own.on_build.clone(),
    }
}

fn image_config(
    parameters: &CommitParameters,
    record: &ContainerRecord,
    own: &Config,
    wanted: &Config,
    parent: Option<&::image::Image>,
) -> ImageConfig {
    let now = Timestamp::now();
    let created_by = own.cmd.clone().unwrap_or_default().join(" ");
    let mut history = parent.map(|parent| parent.config.history.clone()).unwrap_or_default();
    history.push(History {
        created: Some(now),
        created_by,
        author: parameters.author.clone(),
        comment: parameters.comment.clone(),
        empty_layer: false,
    });
    ImageConfig {
        created: Some(now),
        author: parameters.author.clone(),
        platform: parent.map_or_else(oci::Platform::host, |parent| parent.config.platform.clone()),
        config: config::from_document(wanted),
        history,
        comment: parameters.comment.clone(),
        container: record.id.to_string(),
        ..ImageConfig::default()
    }
}

/// A container that stands still while its layer is read; goes on when dropped.
struct Pause<'e> {
    inner: &'e Inner,
    container: &'e Container,
    paused: bool,
}

impl<'e> Pause<'e> {
    fn begin(inner: &'e Inner, container: &'e Container, wanted: bool) -> Result<Self> {
        let state = container.record().lifecycle.state.clone();
        let paused = wanted && matches!(state, ::container::State::Running { .. });
        if paused {
            inner.supervisor.pause(container.id()).map_err(Error::from_kinded)?;
            container.step(Transition::Paused).map_err(Error::from_kinded)?;
            events::container(inner, &container.record(), "pause", &[]);
        }
        Ok(Self { inner, container, paused })
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if !self.paused {
            return;
        }
        let resumed = self.inner.supervisor.resume(self.container.id());
        match resumed {
            Ok(()) if self.container.step(Transition::Resumed).is_ok() => {
                events::container(self.inner, &self.container.record(), "unpause", &[]);
            }
            Ok(()) => {}
            Err(error) => eprintln!("container {}: {}", self.container.id(), model::error::chain(&error)),
        }
    }
}
