//! The record of a new container, made from its checked request.

use std::collections::BTreeMap;

use ::container::{ContainerRecord, Documents, HealthCheck, LogConfig, NetworkAttachment, Paths, ProbeTest};
use api::container::CreateRequest;
use model::ContainerId;

use super::create::SETTINGS;
use super::settings::{NetworkMode, Settings};
use super::validate::Checked;
use crate::Result;
use crate::engine::Inner;
use crate::error::Context;

pub(super) fn new_record(
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
    record.storage_driver = inner.storage.snapshots.driver_name().to_owned();
    record.snapshot = record.id.to_string();
    record.paths = Paths { directory, ..Paths::default() };
    let options = super::security::parse(&checked.settings.security_opt)?;
    record.apparmor_profile =
        super::security::AppArmor::detect().profile(&options, checked.settings.privileged);
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
        build_step: false,
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
