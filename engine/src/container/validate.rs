//! The request of `create` checked field by field, in Docker's order and with Docker's words.

use api::ApiVersion;
use api::container::{Config as ContainerConfig, CreateRequest, HostConfig};
use container::RestartPolicy;

use super::limits::{self, Machine};
use super::mount_request::{self, MountRequest};
use super::settings::{self, Device, IpcMode, NetworkMode, PidMode, Settings, Ulimit};
use super::validate_endpoint::check_endpoints;
use super::validate_endpoint::check_ports;
use super::validate_mount::check_mounts;
use super::{capability, log_config, security};
use crate::{Config, Error, Result};

/// What the checks need to know besides the request.
pub struct Context<'a> {
    /// The engine's configuration.
    pub config: &'a Config,
    /// What the machine can limit.
    pub machine: &'a Machine,
    /// Version the client speaks.
    pub version: ApiVersion,
    /// Full id of another container by name or id.
    pub find_container: &'a dyn Fn(&str) -> Result<String>,
}

/// A checked request.
#[derive(Debug, Default)]
pub struct Checked {
    /// What start needs.
    pub settings: Settings,
    /// Mounts of `Binds` and `Mounts`, in Docker's order.
    pub mounts: Vec<MountRequest>,
    /// `--volumes-from`: container, read-only, mode.
    pub volumes_from: Vec<(String, mount_request::Mode, String)>,
    /// What follows an exit.
    pub restart: RestartPolicy,
    /// What the client is told.
    pub warnings: Vec<String>,
}

pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::invalid(message))
}

/// Checks a request and writes defaults back into its documents.
///
/// # Errors
/// Docker's text for the first field that is wrong.
pub fn check(request: &mut CreateRequest, context: &Context<'_>) -> Result<Checked> {
    let mut checked = Checked::default();
    if request.config == ContainerConfig::default() && request.host_config == HostConfig::default() {
        return refuse("config cannot be empty in order to create a container");
    }
    write_defaults(request, context);
    check_modes(&request.config, &request.host_config, &mut checked)?;
    check_config(&mut request.config, context.version)?;
    check_host_config(&request.host_config, &mut checked, context)?;
    check_machine_part(request, &mut checked, context)?;
    checked.settings.endpoints = check_endpoints(request)?;
    if !request.config.mac_address.is_empty() {
        checked.warnings.push("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.".to_owned());
    }
    check_mounts(&request.host_config, &mut checked, context.version)?;
    check_ports(request, &mut checked)?;
    Ok(checked)
}

fn write_defaults(request: &mut CreateRequest, context: &Context<'_>) {
    let (host, config) = (&mut request.host_config, context.config);
    if matches!(host.network_mode.as_str(), "" | "default") {
        let named = request.networking_config.endpoints_config.as_mut();
        if let Some(endpoints) = named
            && let Some(settings) = endpoints.remove("default")
        {
            endpoints.entry("bridge".to_owned()).or_insert(settings);
        }
        host.network_mode = "bridge".to_owned();
    }
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".to_owned();
    }
    if host.shm_size == 0 {
        host.shm_size = config.default_shm_size;
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode =
            if context.version.below(40) { "shareable".to_owned() } else { config.default_ipc_mode.clone() };
    }
    if host.cgroupns_mode.is_empty() {
        let default = match config.default_cgroupns_mode.as_str() {
            "" if context.machine.cgroup_v2 && !host.privileged && !context.version.below(41) => "private",
            "" => "host",
            said => said,
        };
        host.cgroupns_mode = default.to_owned();
    }
    if host.runtime.is_empty() {
        host.runtime.clone_from(&config.default_runtime);
    }
    if host.log_config.driver.is_empty() {
        host.log_config.driver.clone_from(&config.log.driver);
    }
    let options = host.log_config.config.get_or_insert_default();
    if host.log_config.driver == config.log.driver {
        for (key, value) in &config.log.options {
            options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    write_limit_defaults(host);
    if context.version.below(42) {
        host.console_size = [0, 0];
        host.annotations = None;
    }
    if context.version.below(44)
        && let Some(check) = &mut request.config.healthcheck
    {
        check.start_interval = 0;
    }
}

fn write_limit_defaults(host: &mut HostConfig) {
    let resources = &mut host.resources;
    resources.oom_kill_disable.get_or_insert(false);
    resources.pids_limit = resources.pids_limit.filter(|limit| *limit > 0);
    resources.memory_swappiness = resources.memory_swappiness.filter(|value| *value != -1);
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if host.privileged {
        host.masked_paths.get_or_insert_default();
        host.readonly_paths.get_or_insert_default();
    }
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    host.masked_paths.get_or_insert_with(|| owned(&settings::MASKED_PATHS));
    host.readonly_paths.get_or_insert_with(|| owned(&settings::READONLY_PATHS));
}

/// Network, isolation, and what they forbid beside them.
fn check_modes(config: &ContainerConfig, host: &HostConfig, checked: &mut Checked) -> Result<()> {
    let mode = host.network_mode.as_str();
    let container = mode.strip_prefix("container:");
    if container == Some("") || mode == "container" {
        return refuse("Invalid network mode: invalid container format container:<name|id>");
    }
    let host_uts = host.uts_mode == "host";
    if host_uts && !config.hostname.is_empty() {
        return refuse("conflicting options: hostname and the UTS mode");
    }
    if container.is_some() && !config.hostname.is_empty() {
        return refuse("conflicting options: hostname and the network mode");
    }
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if given(&host.links) && (container.is_some() || mode == "host") {
        let kind = if mode == "host" { "host type networking" } else { "container type network" };
        return refuse(format!(
            "conflicting options: {kind} can't be used with links. This would result in undefined behavior"
        ));
    }
    if container.is_some() {
        if given(&host.dns) {
            return refuse("conflicting options: dns and the network mode");
        }
        if given(&host.extra_hosts) {
            return refuse("conflicting options: custom host-to-IP mapping and the network mode");
        }
        if host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty()) || host.publish_all_ports {
            return refuse("conflicting options: port publishing and the container type network mode");
        }
        if config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            return refuse("conflicting options: port exposing and the container type network mode");
        }
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::internal(format!(
            "Invalid isolation: \"{}\" - linux only supports 'default'",
            host.isolation
        )));
    }
    checked.settings.network = match (mode, container) {
        (_, Some(other)) => NetworkMode::Container(other.to_owned()),
        ("bridge" | "default", _) => NetworkMode::Default,
        ("host", _) => NetworkMode::Host,
        ("none", _) => NetworkMode::None,
        (name, _) => NetworkMode::Named(name.to_owned()),
    };
    Ok(())
}

fn check_config(config: &mut ContainerConfig, version: ApiVersion) -> Result<()> {
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            return refuse(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            ));
        }
        config.working_dir = model::path::clean(&config.working_dir);
    }
    if !config.stop_signal.is_empty() {
        config.stop_signal.parse::<model::Signal>().map_err(Error::from_kinded)?;
    }
    for entry in config.env.iter().flatten() {
        if entry.is_empty() || entry.starts_with('=') {
            return refuse(format!("invalid environment variable: {entry}"));
        }
        if entry.contains('\0') {
            return refuse("invalid environment variable: contains a null byte");
        }
    }
    let _ = version;
    config.healthcheck.as_ref().map_or(Ok(()), check_health)
}

fn check_health(check: &api::container::HealthConfig) -> Result<()> {
    const MILLISECOND: i64 = 1_000_000;
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if value != 0 && value < MILLISECOND {
            return refuse(format!("{name} in Healthcheck cannot be less than 1ms"));
        }
        if name == "Timeout" && check.retries < 0 {
            return refuse("Retries in Healthcheck cannot be negative");
        }
    }
    Ok(())
}

fn check_host_config(host: &HostConfig, checked: &mut Checked, context: &Context<'_>) -> Result<()> {
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return refuse("can't create 'AutoRemove' container with restart policy");
    }
    for entry in host.extra_hosts.iter().flatten() {
        check_extra_host(entry)?;
    }
    checked.restart = RestartPolicy::new(&host.restart_policy.name, host.restart_policy.maximum_retry_count)
        .map_err(Error::from_kinded)?;
    let list = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    let settings = &mut checked.settings;
    settings.cap_add = capability::normalize_list("CapAdd", &list(&host.cap_add))?;
    settings.cap_drop = capability::normalize_list("CapDrop", &list(&host.cap_drop))?;
    if host.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        return refuse("invalid Annotations: the empty string is not permitted as an annotation key");
    }
    let options = host.log_config.config.clone().unwrap_or_default();
    settings.security_opt = list(&host.security_opt);
    security::parse(&settings.security_opt)?;
    check_runtime(host, context)?;
    log_config::check(&host.log_config.driver, &options)
}

fn check_runtime(host: &HostConfig, context: &Context<'_>) -> Result<()> {
    let built_in = crate::config::BUILT_IN_RUNTIMES.contains(&host.runtime.as_str());
    match context.config.runtimes.get(&host.runtime) {
        Some(configured) if !configured.is_ours() => refuse(format!(
            "runtime {} ({}) cannot be used: this engine runs containers with its own runtime only",
            host.runtime, configured.path
        )),
        None if !built_in => refuse(format!("unknown or invalid runtime name: {}", host.runtime)),
        _ => Ok(()),
    }
}

fn check_extra_host(entry: &str) -> Result<()> {
    let split = entry.split_once('=').or_else(|| entry.split_once(':'));
    let Some((_, address)) = split.filter(|(name, _)| !name.is_empty()) else {
        return refuse(format!("bad format for add-host: \"{entry}\""));
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    refuse(format!("invalid IP address in add-host: \"{address}\""))
}

fn check_machine_part(request: &CreateRequest, checked: &mut Checked, context: &Context<'_>) -> Result<()> {
    let host = &request.host_config;
    let settings = &mut checked.settings;
    settings.limits = limits::from_document(&host.resources);
    limits::check(&mut settings.limits, context.machine, false, &mut checked.warnings)?;
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return refuse(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    if host.shm_size < 0 {
        return refuse("SHM size can not be less than 0");
    }
    settings.ipc = ipc_mode(&host.ipc_mode, context)?;
    settings.pid = match host.pid_mode.as_str() {
        "" => PidMode::Private,
        "host" => PidMode::Host,
        other => PidMode::Container(joined(other, "PID", context)?),
    };
    settings.uts_host = match host.uts_mode.as_str() {
        "" => false,
        "host" => true,
        other => return refuse(format!("invalid UTS mode: {other}")),
    };
    settings.cgroupns_host = match host.cgroupns_mode.as_str() {
        "host" => true,
        "private" | "" => false,
        other => return refuse(format!("invalid cgroup namespace mode: {other}")),
    };
    // Docker takes any other word here, too.
    settings.userns_host = host.userns_mode == "host";
    if let Some(text) = super::user_namespace::refusal(context.config, host) {
        return refuse(text);
    }
    check_storage(host)?;
    copy_settings(host, settings);
    for (name, ulimit) in &context.config.default_ulimits {
        if !settings.ulimits.iter().any(|held| held.name == *name) {
            settings.ulimits.push(Ulimit { name: name.clone(), soft: ulimit.soft, hard: ulimit.hard });
        }
    }
    Ok(())
}

fn check_storage(host: &HostConfig) -> Result<()> {
    if let Some((key, _)) = host.storage_opt.iter().flatten().next() {
        let message = if key == "size" {
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option".to_owned()
        } else {
            format!("Unknown option {key}")
        };
        return Err(Error::internal(message));
    }
    Ok(())
}

fn copy_settings(host: &HostConfig, settings: &mut Settings) {
    let list = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    settings.privileged = host.privileged;
    settings.readonly_rootfs = host.readonly_rootfs;
    settings.masked_paths = list(&host.masked_paths);
    settings.readonly_paths = list(&host.readonly_paths);
    settings.sysctls = host.sysctls.clone().unwrap_or_default();
    settings.shm_size = host.shm_size;
    settings.oom_score_adj = host.oom_score_adj;
    settings.group_add = list(&host.group_add);
    settings.cgroup_parent.clone_from(&host.resources.cgroup_parent);
    settings.dns = list(&host.dns);
    settings.dns_search = list(&host.dns_search);
    settings.dns_options = list(&host.dns_options);
    settings.extra_hosts = list(&host.extra_hosts);
    settings.publish_all = host.publish_all_ports;
    settings.runtime.clone_from(&host.runtime);
    settings.tmpfs = host.tmpfs.clone().unwrap_or_default();
    settings.device_rules = list(&host.resources.device_cgroup_rules);
    settings.console_size = [u64::from(host.console_size[0]), u64::from(host.console_size[1])];
    settings.devices = (host.resources.devices.iter().flatten())
        .map(|device| Device {
            host_path: device.path_on_host.clone(),
            container_path: device.path_in_container.clone(),
            permissions: device.cgroup_permissions.clone(),
        })
        .collect();
    settings.ulimits = (host.resources.ulimits.iter().flatten())
        .map(|ulimit| Ulimit { name: ulimit.name.clone(), soft: ulimit.soft, hard: ulimit.hard })
        .collect();
}

fn ipc_mode(text: &str, context: &Context<'_>) -> Result<IpcMode> {
    Ok(match text {
        "private" | "" => IpcMode::Private,
        "shareable" => IpcMode::Shareable,
        "none" => IpcMode::None,
        "host" => IpcMode::Host,
        other => IpcMode::Container(joined(other, "IPC", context)?),
    })
}

fn joined(text: &str, what: &str, context: &Context<'_>) -> Result<String> {
    match text.strip_prefix("container:").filter(|name| !name.is_empty()) {
        Some(name) => {
            (context.find_container)(name).map_err(|error| error.with_kind(model::ErrorKind::Invalid))
        }
        None => refuse(format!("invalid {what} mode: {text}")),
    }
}
