//! `create`: a checked request becomes a record, a writable layer, volumes; or nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::container::{
    ContainerRecord, Documents, HealthCheck, LogConfig, MountPoint, NetworkAttachment, Paths, ProbeTest,
};
use api::container::{CreateRequest, CreateResponse};
use model::ContainerId;

use super::mount_request::{MountKind, MountRequest};
use super::parameters::CreateParameters;
use super::settings::{Link, NetworkMode, Settings};
use super::validate::{self, Checked};
use super::{events, merge, port_spec};
use crate::engine::Inner;
use crate::error::Context;
use crate::storage::Image;
use crate::{Error, Result};

/// Name under which a record keeps its [`Settings`].
pub(crate) const SETTINGS: &str = "settings";

pub(crate) fn create(inner: &Arc<Inner>, parameters: CreateParameters) -> Result<CreateResponse> {
    let CreateParameters { name, platform, mut request, version } = parameters;
    let config = inner.config();
    let find_container = |reference: &str| inner.find(reference).map(|found| found.id().to_string());
    let context = validate::Context {
        config: &config,
        machine: &inner.machine,
        version,
        find_container: &find_container,
    };
    let mut checked = validate::check(&mut request, &context)?;
    let platform = platform.filter(|_| !version.below(41));
    let image = find_image(inner, &request, platform.as_deref())?;
    if let Some(image) = &image {
        merge::merge(&mut request.config, &image.defaults);
    }
    request.config.labels.get_or_insert_default();
    if request.config.entrypoint.as_ref().is_some_and(|words| words.iter().all(String::is_empty)) {
        // `--entrypoint ''` only takes the image's away.
        request.config.entrypoint = None;
    }
    let (path, args) = command_of(&request.config)?;
    let id = ContainerId::generate();
    let reserved = inner.containers.reserve_name(name.as_deref().filter(|name| !name.is_empty()), &id);
    let reserved = reserved.map_err(Error::from_kinded)?;
    let mut making = Making::new(inner, &id);
    complete_request(inner, &mut request, &mut checked, &id)?;
    inner.step("create.snapshot")?;
    making.prepare_root(image.as_ref())?;
    inner.step("create.volumes")?;
    let mounts = making.prepare_mounts(&request, &mut checked)?;
    inner.step("create.directory")?;
    making.make_directory()?;
    let mut record = new_record(inner, id, reserved.as_str(), &request, &checked)?;
    record.path = path;
    record.args = args;
    record.image_id = image.as_ref().map(|image| image.id.clone()).unwrap_or_default();
    record.mounts = mounts;
    inner.step("create.record")?;
    let warnings = checked.warnings;
    let container = inner.containers.insert(record).map_err(Error::from_kinded)?;
    making.done();
    drop(reserved);
    events::container(inner, &container.record(), "create", &[]);
    Ok(CreateResponse { id: container.id().to_string(), warnings })
}

fn find_image(inner: &Inner, request: &CreateRequest, platform: Option<&str>) -> Result<Option<Image>> {
    if request.config.image.is_empty() {
        return Ok(None);
    }
    inner.storage.resolve(&request.config.image, platform).map(Some)
}

fn command_of(config: &api::container::Config) -> Result<(String, Vec<String>)> {
    let entrypoint = config.entrypoint.iter().flatten();
    let mut words = entrypoint.chain(config.cmd.iter().flatten()).cloned();
    match words.next() {
        Some(path) => Ok((path, words.collect())),
        None => Err(Error::invalid("no command specified")),
    }
}

/// Fills in what depends on the id and on other containers.
fn complete_request(
    inner: &Inner,
    request: &mut CreateRequest,
    checked: &mut Checked,
    id: &ContainerId,
) -> Result<()> {
    let settings = &mut checked.settings;
    if request.config.hostname.is_empty() {
        request.config.hostname = if settings.uts_host || settings.network == NetworkMode::Host {
            crate::system::host_name()
        } else {
            id.short().to_owned()
        };
    }
    for key in request.config.exposed_ports.iter().flatten().map(|(key, _)| key) {
        for port in exposed_ports(key) {
            if !settings.exposed.contains(&port) {
                settings.exposed.push(port);
            }
        }
    }
    for text in request.host_config.links.iter().flatten() {
        settings.links.push(resolve_link(inner, text)?);
    }
    Ok(())
}

/// `8000-8003/tcp` is four ports; what is no port is left out, as Docker does with images' texts.
fn exposed_ports(key: &str) -> Vec<(u16, String)> {
    let (ports, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (port_spec::parse_key(&format!("{first}/{protocol}")), last.parse::<u16>()) {
        (Ok((first, protocol)), Ok(last)) => (first..=last).map(|port| (port, protocol.clone())).collect(),
        _ => Vec::new(),
    }
}

fn resolve_link(inner: &Inner, text: &str) -> Result<Link> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, alias) = match parts.as_slice() {
        [name] if !name.is_empty() => (*name, name.trim_start_matches('/')),
        // What inspect shows of a link: `/target:/parent/alias`.
        [name, alias] => (*name, alias.rsplit('/').next().unwrap_or(alias)),
        _ => return Err(Error::internal(format!("bad format for links: {text}"))),
    };
    let target = inner.find(name).map_err(|error| {
        Error::invalid(format!("could not get container for {name}: {}", error.message()))
    })?;
    Ok(Link { target: target.id().to_string(), alias: alias.to_owned() })
}

fn new_record(
    inner: &Inner,
    id: ContainerId,
    name: &str,
    request: &CreateRequest,
    checked: &Checked,
) -> Result<ContainerRecord> {
    let (config, host) = (&request.config, &request.host_config);
    let directory = inner.layout.container_dir(id.as_str());
    let mut record = ContainerRecord::new(id, name.to_owned(), record_config(request, checked));
    record.image_reference.clone_from(&config.image);
    record.platform = "linux".to_owned();
    record.storage_driver = "overlay2".to_owned();
    record.snapshot = record.id.to_string();
    record.paths = Paths { directory, ..Paths::default() };
    record.documents = Documents {
        config: document(config)?,
        host_config: document(host)?,
        networking: document(&request.networking_config)?,
    };
    record.network.networks = planned_networks(request, checked);
    record.extra = BTreeMap::from([(SETTINGS.to_owned(), document(&checked.settings)?)]);
    Ok(record)
}

pub(crate) fn document(value: &impl serde::Serialize) -> Result<::container::Document> {
    ::container::Document::of(value).doing(|| "writing the container's documents".to_owned())
}

/// The settings a record was created with.
pub(crate) fn settings_of(record: &ContainerRecord) -> Result<Settings> {
    let document = record.extra.get(SETTINGS).cloned().unwrap_or_default();
    document.read().doing(|| format!("reading the settings of container {}", record.id))
}

fn record_config(request: &CreateRequest, checked: &Checked) -> ::container::Config {
    let (config, host) = (&request.config, &request.host_config);
    ::container::Config {
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        command: config.cmd.clone(),
        env: config.env.clone().unwrap_or_default(),
        labels: config.labels.clone().unwrap_or_default(),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        health: config.healthcheck.as_ref().and_then(|check| health_check(check, config.shell.as_deref())),
        restart: checked.restart,
        auto_remove: host.auto_remove,
        log: LogConfig {
            driver: host.log_config.driver.clone(),
            options: host.log_config.config.clone().unwrap_or_default(),
        },
        init: host.init.unwrap_or(false),
        network_mode: host.network_mode.clone(),
        annotations: host.annotations.clone().unwrap_or_default(),
    }
}

fn health_check(check: &api::container::HealthConfig, shell: Option<&[String]>) -> Option<HealthCheck> {
    let words = check.test.as_deref().unwrap_or_default();
    let default_shell = ["/bin/sh".to_owned(), "-c".to_owned()];
    let test = match words.split_first() {
        Some((kind, rest)) if kind == "CMD" => ProbeTest::Command(rest.to_vec()),
        Some((kind, rest)) if kind == "CMD-SHELL" => {
            let mut command = shell.unwrap_or(&default_shell).to_vec();
            command.push(rest.join(" "));
            ProbeTest::Command(command)
        }
        // Nothing inherited, `NONE`, or a word Docker does not know either: no probes.
        _ => return None,
    };
    let duration =
        |nanoseconds: i64| std::time::Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    Some(HealthCheck {
        test,
        interval: duration(check.interval),
        timeout: duration(check.timeout),
        start_period: duration(check.start_period),
        start_interval: duration(check.start_interval),
        retries: u32::try_from(check.retries).unwrap_or(0),
    })
}

/// What `inspect` shows of networks before the first start.
fn planned_networks(request: &CreateRequest, checked: &Checked) -> BTreeMap<String, NetworkAttachment> {
    let mut networks = BTreeMap::new();
    if matches!(checked.settings.network, NetworkMode::Container(_)) {
        return networks;
    }
    networks.insert(request.host_config.network_mode.clone(), NetworkAttachment::default());
    for (name, wish) in &checked.settings.endpoints {
        let document = request.networking_config.endpoints_config.iter().flatten();
        let document = document.filter(|(key, _)| *key == name).find_map(|(_, document)| document.clone());
        let document = document.unwrap_or_default();
        let attachment = NetworkAttachment {
            aliases: wish.aliases.clone(),
            mac_address: wish.mac.clone(),
            links: document.links.unwrap_or_default(),
            driver_options: document.driver_opts.unwrap_or_default(),
            ipam: document.ipam_config.and_then(|ipam| serde_json::to_value(ipam).ok()).unwrap_or_default(),
            gateway_priority: document.gw_priority.unwrap_or(0),
            ..NetworkAttachment::default()
        };
        networks.insert(name.clone(), attachment);
    }
    networks
}

/// What exists already of a container that is being made; dropped before [`Making::done`], all of it goes again.
struct Making<'e> {
    inner: &'e Inner,
    id: String,
    root: bool,
    directory: bool,
    /// Volumes in use by the new container.
    acquired: Vec<String>,
    /// Those of them that were made for it.
    volumes: Vec<String>,
    finished: bool,
}

impl<'e> Making<'e> {
    fn new(inner: &'e Inner, id: &ContainerId) -> Self {
        Self {
            inner,
            id: id.to_string(),
            root: false,
            directory: false,
            acquired: Vec::new(),
            volumes: Vec::new(),
            finished: false,
        }
    }

    fn prepare_root(&mut self, image: Option<&Image>) -> Result<()> {
        self.inner.storage.prepare_root(&self.id, image)?;
        self.root = true;
        Ok(())
    }

    fn make_directory(&mut self) -> Result<()> {
        let directory = self.inner.layout.container_dir(&self.id);
        store::file::make_private_dir(&directory)
            .doing(|| format!("making folder {}", directory.display()))?;
        self.directory = true;
        Ok(())
    }

    /// Docker's order: volumes-from, binds and mounts, what the image declares; later ones hide earlier ones.
    fn prepare_mounts(&mut self, request: &CreateRequest, checked: &mut Checked) -> Result<Vec<MountPoint>> {
        let mut points: Vec<MountPoint> = Vec::new();
        for (reference, mode, text) in &checked.volumes_from {
            let donor =
                self.inner.find(reference).map_err(|error| error.with_kind(model::ErrorKind::Invalid))?;
            for mount in &donor.record().mounts {
                let mut copy = mount.clone();
                copy.writable = copy.writable && !mode.read_only;
                if !text.is_empty() {
                    copy.mode.clone_from(text);
                }
                copy.anonymous = false;
                set_access(&mut copy);
                if copy.kind == "volume" {
                    self.inner.storage.volumes.acquire(&copy.name, &self.id).map_err(Error::from_kinded)?;
                    self.acquired.push(copy.name.clone());
                }
                replace(&mut points, copy);
            }
        }
        for mount in std::mem::take(&mut checked.mounts) {
            if mount.create_source && mount.kind == MountKind::Bind {
                checked.settings.created_sources.push(mount.source.clone());
            }
            let point = self.mount_point(mount)?;
            replace(&mut points, point);
        }
        for destination in request.config.volumes.iter().flatten().map(|(destination, _)| destination) {
            let destination = super::mount_request::clean_path(&format!("/{destination}"));
            let taken = points.iter().any(|point| point.destination == destination)
                || checked
                    .settings
                    .tmpfs
                    .keys()
                    .any(|path| super::mount_request::clean_path(path) == destination);
            if taken || destination == "/" {
                continue;
            }
            let wish = MountRequest {
                kind: MountKind::Volume,
                destination,
                driver: match request.host_config.volume_driver.as_str() {
                    "" => "local".to_owned(),
                    wanted => wanted.to_owned(),
                },
                copy: true,
                anonymous: true,
                ..MountRequest::default()
            };
            points.push(self.mount_point(wish)?);
        }
        Ok(points)
    }

    fn mount_point(&mut self, wish: MountRequest) -> Result<MountPoint> {
        let mut point = MountPoint {
            kind: wish.kind.name().to_owned(),
            source: wish.source.clone(),
            destination: wish.destination.clone(),
            mode: wish.mode.clone(),
            writable: wish.writable,
            propagation: wish.propagation.clone(),
            subpath: wish.subpath.clone(),
            anonymous: wish.anonymous,
            ..MountPoint::default()
        };
        match wish.kind {
            MountKind::Tmpfs => {
                point.options = wish
                    .tmpfs_options
                    .split(',')
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            MountKind::Bind => point.options = bind_options(&wish),
            MountKind::Volume => {
                let volume = self.inner.storage.acquire_volume(&wish, &self.id)?;
                self.acquired.push(volume.name.clone());
                if volume.created {
                    self.volumes.push(volume.name.clone());
                    crate::volume::created_event(self.inner, &volume.name);
                }
                point.name = volume.name;
                point.driver = wish.driver.clone();
                point.source = volume.path;
                point.options = bind_options(&wish);
                if wish.copy {
                    self.inner.storage.fill_volume(&point.name, &self.id, &wish.destination)?;
                }
            }
        }
        Ok(point)
    }

    fn done(mut self) {
        self.finished = true;
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for volume in &self.acquired {
            self.inner.storage.volumes.release(volume, &self.id);
        }
        for volume in &self.volumes {
            self.inner.storage.discard_volume(volume);
        }
        if self.directory {
            let _ = std::fs::remove_dir_all(self.inner.layout.container_dir(&self.id));
        }
        if self.root {
            self.inner.storage.remove_root(&self.id);
        }
    }
}

/// A later mount at the same place hides the earlier one.
fn replace(points: &mut Vec<MountPoint>, point: MountPoint) {
    points.retain(|held| held.destination != point.destination);
    points.push(point);
}

fn bind_options(wish: &MountRequest) -> Vec<String> {
    let mut options = vec![if wish.non_recursive { "bind" } else { "rbind" }.to_owned()];
    if !wish.writable {
        let plain = wish.non_recursive || wish.read_only_non_recursive || wish.kind == MountKind::Volume;
        options.push(if plain { "ro" } else { "rro" }.to_owned());
    }
    options.push(if wish.propagation.is_empty() { "rprivate".to_owned() } else { wish.propagation.clone() });
    options
}

/// Makes a copied mount's options say what `writable` says.
fn set_access(point: &mut MountPoint) {
    let read_only = point.options.iter().any(|option| option == "ro" || option == "rro");
    if !point.writable && !read_only {
        point.options.push("ro".to_owned());
    }
}
