//! `start`: files, network, specification, shim; each phase undoes itself when a later one fails.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ::container::record::PortBinding;
use ::container::{
    Container, ContainerRecord, Health, NetworkAttachment, NetworkSettings, State, Transition,
};
use network::{AttachRequest, Endpoint, PublishRequest};
use shim_protocol::{Create, LogTarget, Rotation, Started};

use super::create::settings_of;
use super::settings::{EndpointSettings, NetworkMode, Settings};
use super::{events, files, health, log_config, lookup, port_spec, spec};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Why a container is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked.
    User,
    /// Its restart policy.
    Policy,
}

/// `start` of the API.
pub(crate) fn start_by_user(inner: &Arc<Inner>, reference: &str) -> Result<()> {
    let container = inner.find(reference)?;
    let _operation = container.operate();
    start(inner, &container, Cause::User)
}

/// Starts a container whose operation lock the caller holds.
pub(crate) fn start(inner: &Arc<Inner>, container: &Arc<Container>, cause: Cause) -> Result<()> {
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_start(record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let live = inner.live(container.id());
    let transition = live.transition();
    live.next_run();
    if cause == Cause::User {
        live.back_off().reset();
    }
    let result = run(inner, container, &record, cause);
    if let Err(error) = &result {
        start_failed(inner, container, error);
    }
    drop(transition);
    if result.is_err() && container.record().config.auto_remove {
        super::remove::remove_after_exit(inner, container);
    }
    result
}

fn run(inner: &Arc<Inner>, container: &Arc<Container>, record: &ContainerRecord, cause: Cause) -> Result<()> {
    let settings = settings_of(record)?;
    inner.step("start.mounts")?;
    check_device_requests(record)?;
    make_bind_sources(record, &settings)?;
    make_shared_memory(inner, record, &settings)?;
    let links = files::links(inner, record, &settings)?;
    inner.step("start.network")?;
    let joined = Joined::new(inner, record, &settings)?;
    inner.step("start.files")?;
    let (paths, engine_files) = files::write(inner, record, &settings, &joined.endpoints, &links)?;
    let mut facts = lookup::facts(inner, record, &settings)?;
    facts.files = engine_files;
    facts.link_environment = links.environment;
    facts.volume_sources = lookup::volume_sources(inner, record)?;
    let user = lookup::resolve_user_in_layers(inner, record, &settings.group_add)?;
    let input = spec::Input { record, settings: &settings, user: &user, facts: &facts };
    let mut document = spec::generate(&input)?;
    super::user_namespace::set_network_parameters(&mut document, joined.namespace.as_ref())?;
    let filter = filter_of(inner, &settings, &document)?;
    inner.step("start.shim")?;
    let create = shim_create(inner, record, document, &paths)?;
    let mut shim = Shim::spawn(inner, container)?;
    let started = shim.run(create, &filter, joined.namespace.as_ref())?;
    inner.step("start.record")?;
    let settings_now = joined.settings(record, &settings);
    container.update_volatile(|record| {
        record.paths = paths;
        record.network = settings_now;
        if cause == Cause::User {
            record.lifecycle.restart_count = 0;
            record.lifecycle.stopped_by_user = false;
        } else {
            record.lifecycle.restart_count += 1;
        }
    });
    container.step(Transition::Started { pid: started.pid, at: started.at }).map_err(Error::from_kinded)?;
    joined.done();
    shim.done();
    if record.config.health.is_some() {
        container.update_health(|held| *held = Health::starting());
        health::schedule(inner, container);
    }
    events::volumes(inner, record, "mount");
    events::container(inner, &container.record(), "start", &[]);
    Ok(())
}

/// No driver for `--gpus` and its kin.
fn check_device_requests(record: &ContainerRecord) -> Result<()> {
    let requests = record.documents.host_config.get("DeviceRequests");
    let requests = requests.as_ref().and_then(serde_json::Value::as_array);
    let Some(request) = requests.and_then(|requests| requests.first()) else { return Ok(()) };
    let driver = request.get("Driver").and_then(|value| value.as_str()).unwrap_or("");
    let sets = request.get("Capabilities").and_then(|value| value.as_array()).cloned().unwrap_or_default();
    let sets: Vec<String> = sets
        .iter()
        .map(|set| {
            let words: Vec<&str> =
                set.as_array().into_iter().flatten().filter_map(|word| word.as_str()).collect();
            format!("[{}]", words.join(" "))
        })
        .collect();
    Err(Error::internal(format!(
        "could not select device driver \"{driver}\" with capabilities: [{}]",
        sets.join(" ")
    )))
}

/// Folders that `-v` names and the host does not have are made, as Docker does.
fn make_bind_sources(record: &ContainerRecord, settings: &Settings) -> Result<()> {
    for mount in record.mounts.iter().filter(|mount| mount.kind == "bind") {
        if std::fs::metadata(&mount.source).is_ok() {
            continue;
        }
        if settings.created_sources.contains(&mount.source) {
            let made = std::fs::create_dir_all(&mount.source);
            made.doing(|| format!("error while creating mount source path '{}'", mount.source))?;
        } else {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.source
            )));
        }
    }
    Ok(())
}

/// Memory that others may join is a folder below the exec root, which is memory too: a mount of one namespace cannot be
/// given to another one.
fn make_shared_memory(inner: &Inner, record: &ContainerRecord, settings: &Settings) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if settings.ipc != super::settings::IpcMode::Shareable {
        return Ok(());
    }
    let folder = inner.layout.shared_memory_dir(record.id.as_str());
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777)))
        .doing(|| format!("making {}", folder.display()))
}

fn filter_of(inner: &Inner, settings: &Settings, document: &oci::runtime::Spec) -> Result<Arc<Vec<u8>>> {
    let options = super::security::parse(&settings.security_opt)?;
    let capabilities = document.process.as_ref().and_then(|process| process.capabilities.as_ref());
    let bounding = capabilities.map(|sets| sets.bounding.clone()).unwrap_or_default();
    inner.seccomp.program(&options, settings.privileged, &inner.config().seccomp_profile, &bounding)
}

fn shim_create(
    inner: &Inner,
    record: &ContainerRecord,
    spec: oci::runtime::Spec,
    paths: &::container::Paths,
) -> Result<Create> {
    let config = &record.config;
    let plan = log_config::plan(&config.log.driver, &config.log.options)?;
    let rotation = Rotation { max_size: plan.max_size, max_files: plan.max_files, compress: plan.compress };
    let log = match config.log.driver.as_str() {
        "none" => LogTarget::None,
        "local" => LogTarget::Local { path: local_log_path(inner, record), rotation },
        _ => LogTarget::JsonFile { path: paths.log.clone(), rotation, attributes: log_attributes(record) },
    };
    Ok(Create {
        id: record.id.to_string(),
        spec,
        rootfs: inner.storage.shim_root(&record.snapshot, config.auto_remove)?,
        netns: false,
        log,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        init: config.init || (inner.config().init && !explicit_init(record)),
        start: true,
    })
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

fn start_failed(inner: &Arc<Inner>, container: &Arc<Container>, error: &Error) {
    let text = error.message().to_owned();
    let code = exit_code_of(&text);
    if matches!(container.record().lifecycle.state, State::Created | State::Exited | State::Restarting) {
        // A record that cannot be written now is written by the next step; the caller already gets an error.
        let _ = container.step(Transition::StartFailed { code, error: text });
    }
    inner.live(container.id()).close_streams();
}

/// Docker's exit code of a failed start, which it reads out of the error's text.
pub(crate) fn exit_code_of(text: &str) -> i32 {
    let has = |word: &str| text.contains(word);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") || has("not a directory") {
        126
    } else {
        128
    }
}

/// A connected network stack; dropped before [`Joined::done`], it is disconnected again.
struct Joined<'e> {
    inner: &'e Inner,
    namespace: Option<OwnedFd>,
    endpoints: Vec<Endpoint>,
    finished: bool,
}

impl<'e> Joined<'e> {
    fn new(inner: &'e Inner, record: &ContainerRecord, settings: &Settings) -> Result<Self> {
        let mut joined = Self { inner, namespace: None, endpoints: Vec::new(), finished: false };
        match &settings.network {
            NetworkMode::Container(other) => {
                let donor = lookup::donor(inner, other, "network")?;
                let pid = donor.record().lifecycle.state.pid();
                let path = format!("/proc/{pid}/ns/net");
                let file = std::fs::File::open(&path).doing(|| format!("opening {path}"))?;
                joined.namespace = Some(file.into());
            }
            NetworkMode::Host => joined.attach(None, record, settings, "host", 0)?,
            NetworkMode::None => {
                let sandbox = inner.networks.take_bare_sandbox().map_err(Error::from_kinded)?;
                joined.attach(Some(sandbox), record, settings, "none", 0)?;
            }
            NetworkMode::Default => {
                let plain = settings.endpoints.values().all(|wish| *wish == EndpointSettings::default());
                let sandbox =
                    if plain { inner.networks.take_sandbox() } else { inner.networks.take_bare_sandbox() };
                joined.attach(Some(sandbox.map_err(Error::from_kinded)?), record, settings, "bridge", 0)?;
            }
            NetworkMode::Named(name) => {
                inner.networks.find(name).map_err(Error::from_kinded)?;
                let sandbox = inner.networks.take_bare_sandbox().map_err(Error::from_kinded)?;
                joined.attach(Some(sandbox), record, settings, name, 0)?;
            }
        }
        Ok(joined)
    }

    fn attach(
        &mut self,
        sandbox: Option<network::Sandbox>,
        record: &ContainerRecord,
        settings: &Settings,
        primary: &str,
        first: u32,
    ) -> Result<()> {
        if let Some(sandbox) = &sandbox {
            self.namespace =
                Some(sandbox.duplicate_namespace().doing(|| "keeping the network namespace".to_owned())?);
        }
        let publish = if matches!(settings.network, NetworkMode::Host | NetworkMode::None) {
            Vec::new()
        } else {
            publish_requests(settings)?
        };
        let mut index = first;
        let others = settings.endpoints.keys().map(String::as_str).filter(|name| *name != primary);
        for name in std::iter::once(primary).chain(others) {
            let request = attach_request(record, settings.endpoints.get(name), name, index)?;
            let request = AttachRequest {
                publish: if index == first { publish.clone() } else { Vec::new() },
                ..request
            };
            let endpoint =
                self.inner.networks.attach(sandbox.as_ref(), request).map_err(Error::from_kinded)?;
            events::network(self.inner, &endpoint, "connect");
            self.endpoints.push(endpoint);
            index += 1;
        }
        Ok(())
    }

    /// What `inspect` shows while it runs.
    fn settings(&self, record: &ContainerRecord, settings: &Settings) -> NetworkSettings {
        let mut shown = record.network.clone();
        // The sandbox has no name on the host; Docker's clients only show these two.
        let sandbox = model::id::random_hex();
        shown.sandbox_key = format!("{}/netns/{}", self.inner.layout.exec_root().display(), &sandbox[..12]);
        shown.sandbox_id = sandbox;
        if matches!(settings.network, NetworkMode::Container(_)) {
            shown.sandbox_id.clear();
            shown.sandbox_key.clear();
        }
        for endpoint in &self.endpoints {
            let name = shown_network_name(&shown, endpoint);
            fill_attachment(shown.networks.entry(name).or_default(), endpoint);
        }
        shown.ports = shown_ports(settings, &self.endpoints);
        shown
    }

    fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for endpoint in &self.endpoints {
            self.inner.networks.release(endpoint);
            events::network(self.inner, endpoint, "disconnect");
        }
    }
}

/// The key under which the record lists a network: what the user called it.
fn shown_network_name(shown: &NetworkSettings, endpoint: &Endpoint) -> String {
    let by_id = shown.networks.keys().find(|key| endpoint.network.as_str().starts_with(key.as_str()));
    match by_id {
        Some(key) if !shown.networks.contains_key(&endpoint.network_name) => key.clone(),
        _ => endpoint.network_name.clone(),
    }
}

pub(crate) fn fill_attachment(shown: &mut NetworkAttachment, endpoint: &Endpoint) {
    let text =
        |address: Option<std::net::IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    shown.network_id = endpoint.network.to_string();
    shown.endpoint_id = endpoint.id.to_string();
    shown.gateway = text(endpoint.gateway);
    shown.ip_address = text(endpoint.ipv4.map(std::net::IpAddr::V4));
    shown.ip_prefix_len = endpoint.ipv4_prefix;
    shown.ipv6_gateway = text(endpoint.gateway_v6);
    shown.global_ipv6_address = text(endpoint.ipv6.map(std::net::IpAddr::V6));
    shown.global_ipv6_prefix_len = endpoint.ipv6_prefix;
    shown.mac_address = endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default();
}

fn shown_ports(
    settings: &Settings,
    endpoints: &[Endpoint],
) -> std::collections::BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut ports = std::collections::BTreeMap::new();
    if matches!(settings.network, NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_)) {
        return ports;
    }
    for (port, protocol) in &settings.exposed {
        ports.insert(format!("{port}/{protocol}"), None);
    }
    for published in endpoints.iter().flat_map(|endpoint| &endpoint.ports) {
        let key = format!("{}/{}", published.container_port, published.protocol.name());
        let binding = PortBinding {
            host_ip: published.host_ip.to_string(),
            host_port: published.host_port.to_string(),
        };
        ports.entry(key).or_insert(None).get_or_insert_default().push(binding);
    }
    ports
}

pub(crate) fn attach_request(
    record: &ContainerRecord,
    wish: Option<&EndpointSettings>,
    name: &str,
    index: u32,
) -> Result<AttachRequest> {
    let wish = wish.cloned().unwrap_or_default();
    let invalid = |what: &str, text: &str| Error::invalid(format!("invalid {what}: {text}"));
    let optional = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(AttachRequest {
        network: name.to_owned(),
        container: record.id.clone(),
        container_name: record.name.clone(),
        ipv4: optional(&wish.ipv4)
            .map(|text| text.parse().map_err(|_| invalid("IPv4 address", &text)))
            .transpose()?,
        ipv6: optional(&wish.ipv6)
            .map(|text| text.parse().map_err(|_| invalid("IPv6 address", &text)))
            .transpose()?,
        mac: optional(&wish.mac).map(|text| text.parse().map_err(Error::from_kinded)).transpose()?,
        publish: Vec::new(),
        interface_index: index,
    })
}

fn publish_requests(settings: &Settings) -> Result<Vec<PublishRequest>> {
    let mut requests = Vec::new();
    for port in &settings.ports {
        let protocol = network::Protocol::from_name(&port.protocol)
            .ok_or_else(|| Error::invalid(format!("invalid transport protocol: {}", port.protocol)))?;
        let host_ip = match port.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?),
        };
        requests.push(PublishRequest {
            container_port: port.container_port,
            protocol,
            host_ip,
            host_ports: port_spec::parse_host_range(&port.host_port)?,
        });
    }
    if settings.publish_all {
        for (container_port, protocol) in &settings.exposed {
            let Some(protocol) = network::Protocol::from_name(protocol) else { continue };
            let held = requests
                .iter()
                .any(|request| request.container_port == *container_port && request.protocol == protocol);
            if !held {
                let container_port = *container_port;
                requests.push(PublishRequest { container_port, protocol, host_ip: None, host_ports: None });
            }
        }
    }
    requests.sort_by_key(|request| (request.container_port, request.protocol));
    Ok(requests)
}

/// A spawned shim; dropped before [`Shim::done`], it and its container end.
struct Shim<'e> {
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
    fn spawn(inner: &'e Inner, container: &'e Container) -> Result<Self> {
        inner.supervisor.spawn(container.id()).map_err(task_failed)?;
        Ok(Self { inner, container, state: ShimState::Empty })
    }

    /// Hands over the clients that wait, makes the container and starts it, in one round trip.
    fn run(&mut self, create: Create, filter: &[u8], namespace: Option<&OwnedFd>) -> Result<Started> {
        let id = self.container.id();
        for client in self.inner.live(id).open_streams() {
            // A client that has gone meanwhile does not keep the container from running.
            let _ = self.inner.supervisor.attach(id, client.attach, client.socket.as_fd());
        }
        let namespace = namespace.map(AsFd::as_fd);
        self.state = ShimState::Unknown;
        let created = self.inner.supervisor.create(id, create, filter, namespace).map_err(|error| {
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

    fn done(mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_come_from_the_text() {
        for (text, code) in [
            ("exec: \"x\": executable file not found in $PATH", 127),
            ("exec /x: no such file or directory", 127),
            ("exec: \"/etc\": is a directory: permission denied", 126),
            ("anything", 128),
        ] {
            assert_eq!(exit_code_of(text), code, "{text}");
        }
    }
}
