//! The shim phase of a start: what the shim is told, its life until the start has succeeded, its failures in Docker's words.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ::container::{Container, ContainerRecord};
use shim_protocol::{Create, LogTarget, Rotation, Started};

use super::log_config;
use crate::engine::Inner;
use crate::{Error, Result};

/// A spawned shim; dropped before [`Shim::done`], it and its container end.
pub(super) struct Shim<'e> {
    inner: &'e Inner,
    container: &'e Container,
    state: ShimState,
}

/// How far a shim got that is being dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShimState {
    /// It made nothing, and said so.
    Empty,
    /// It may have made something.
    Unknown,
    /// The container's process runs.
    Running,
    /// The start succeeded: it stays.
    Kept,
}

impl<'e> Shim<'e> {
    pub(super) fn spawn(inner: &'e Inner, container: &'e Container) -> Result<Self> {
        inner.supervisor.spawn(container.id()).map_err(task_failed)?;
        Ok(Self { inner, container, state: ShimState::Empty })
    }

    /// Hands over the clients that wait, makes the container and starts it, in one round trip.
    pub(super) fn run(
        &mut self,
        (create, mount): (Create, Option<Arc<OwnedFd>>),
        filter: &[u8],
        namespace: Option<&OwnedFd>,
    ) -> Result<Started> {
        let id = self.container.id();
        for client in self.inner.live(id).open_streams() {
            // A client that has gone meanwhile does not keep the container from running.
            let _ = self.inner.supervisor.attach(id, client.attach, client.socket.as_fd());
        }
        let namespace = namespace.map(AsFd::as_fd);
        self.state = ShimState::Unknown;
        let mount = mount.as_ref().map(|mount| mount.as_fd());
        let created =
            self.inner.supervisor.create(id, create, filter, namespace, mount).map_err(|error| {
                if matches!(error, ::container::ShimError::Refused(_)) {
                    self.state = ShimState::Empty;
                }
                task_failed(error)
            })?;
        let started = match created.started {
            Some(started) => started,
            None => self.inner.supervisor.start(id).map_err(task_failed)?,
        };
        self.state = ShimState::Running;
        Ok(started)
    }

    pub(super) fn done(mut self) {
        self.state = ShimState::Kept;
    }
}

impl Drop for Shim<'_> {
    /// What runs is killed; the report of its end, which waits for the transition lock, cleans up.
    fn drop(&mut self) {
        let (supervisor, id) = (&self.inner.supervisor, self.container.id());
        match self.state {
            ShimState::Kept => {}
            ShimState::Empty => supervisor.acknowledge(id),
            ShimState::Running => {
                let kill = model::Signal::KILL.number();
                if supervisor.signal(id, shim_protocol::Target::Init, kill, true).is_err() {
                    supervisor.kill_hard(id);
                }
            }
            ShimState::Unknown => supervisor.kill_hard(id),
        }
    }
}

/// What the shim is told, and the mount that goes with it.
pub(super) fn shim_create(
    inner: &Inner,
    record: &ContainerRecord,
    spec: oci::runtime::Spec,
    paths: &::container::Paths,
) -> Result<(Create, Option<Arc<OwnedFd>>)> {
    let config = &record.config;
    let plan = log_config::plan(&config.log.driver, &config.log.options)?;
    let rotation = Rotation { max_size: plan.max_size, max_files: plan.max_files, compress: plan.compress };
    let log = match config.log.driver.as_str() {
        "none" => LogTarget::None,
        "local" => LogTarget::Local { path: local_log_path(inner, record), rotation },
        _ => LogTarget::JsonFile { path: paths.log.clone(), rotation, attributes: log_attributes(record) },
    };
    let (rootfs, mount) = inner.storage.shim_root(&record.snapshot, record.is_ephemeral())?;
    let create = Create {
        id: record.id.to_string(),
        spec,
        rootfs,
        netns: false,
        log,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        init: config.init || (inner.config().init && !explicit_init(record)),
        start: true,
    };
    Ok((create, mount))
}

fn explicit_init(record: &ContainerRecord) -> bool {
    record.documents.host_config.get("Init").is_some()
}

/// Where the `local` driver writes.
pub(crate) fn local_log_path(inner: &Inner, record: &ContainerRecord) -> std::path::PathBuf {
    inner.layout.container_dir(record.id.as_str()).join("container.log")
}

/// Labels, environment and tag that `--log-opt` asks to have in each line.
fn log_attributes(record: &ContainerRecord) -> std::collections::BTreeMap<String, String> {
    let options = &record.config.log.options;
    let mut attributes = std::collections::BTreeMap::new();
    let wanted = |key: &str| -> Vec<String> {
        let text = options.get(key).map_or("", String::as_str);
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    for name in wanted("labels") {
        if let Some(value) = record.config.labels.get(&name) {
            attributes.insert(name, value.clone());
        }
    }
    for name in wanted("env") {
        let held = record.config.env.iter().find_map(|entry| entry.strip_prefix(&format!("{name}=")));
        if let Some(value) = held {
            attributes.insert(name, value.to_owned());
        }
    }
    let pattern = |key: &str| {
        options.get(key).filter(|text| !text.is_empty()).map(|text| super::pattern::Pattern::new(text))
    };
    if let Some(pattern) = pattern("labels-regex") {
        let matching = record.config.labels.iter().filter(|(name, _)| pattern.matches(name));
        attributes.extend(matching.map(|(name, value)| (name.clone(), value.clone())));
    }
    if let Some(pattern) = pattern("env-regex") {
        let entries = record.config.env.iter().filter_map(|entry| entry.split_once('='));
        let matching = entries.filter(|(name, _)| pattern.matches(name));
        attributes.extend(matching.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        attributes.insert("tag".to_owned(), log_tag(tag, record));
    }
    attributes
}

/// The placeholders of `--log-opt tag=` that people use.
fn log_tag(template: &str, record: &ContainerRecord) -> String {
    [
        ("{{.ID}}", record.id.short().to_owned()),
        ("{{.FullID}}", record.id.to_string()),
        ("{{.Name}}", record.name.clone()),
        ("{{.ImageName}}", record.image_reference.clone()),
        ("{{.ImageFullID}}", record.image_id.clone()),
        ("{{.ImageID}}", record.image_id.trim_start_matches("sha256:").chars().take(12).collect()),
        ("{{.DaemonName}}", "docker".to_owned()),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (name, value)| text.replace(name, &value))
}

/// The runtime's text in the words Docker puts around it.
pub(crate) fn task_failed(error: ::container::ShimError) -> Error {
    let text = model::error::chain(&error);
    let wrapped = match text.strip_prefix("OCI runtime create failed: ") {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let body = wrapped.trim_end_matches(": unknown");
    let runtime_words = if body.starts_with("runc create failed: ") {
        body.to_owned()
    } else {
        format!("runc create failed: unable to start container process: {body}")
    };
    Error::internal(with_permission_words(format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: {runtime_words}: unknown"
    )))
}

/// Clients know by these words that it was no missing program (exit code 126).
pub(crate) fn with_permission_words(text: String) -> String {
    if text.contains("is a directory") && !text.contains("permission denied") {
        return format!("{text}: permission denied");
    }
    text
}
