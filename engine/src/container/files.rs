//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container, written before each start.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ::container::{ContainerRecord, Paths};
use network::Endpoint;
use network::files::hosts::{self, HostsEntry, HostsRequest};
use network::files::resolv_conf::{self, ResolvConfRequest, Resolver};
use network::link::{self, LinkTarget};

use super::settings::{NetworkMode, Settings};
use super::spec::Files;
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// What links add to a container.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Environment variables.
    pub(crate) environment: Vec<String>,
    hosts: Vec<HostsEntry>,
}

/// Writes the files and says where they are.
pub(crate) fn write(
    inner: &Inner,
    record: &ContainerRecord,
    settings: &Settings,
    endpoints: &[Endpoint],
    links: &Links,
) -> Result<(Paths, Files)> {
    let id = record.id.as_str();
    let mut paths = record.paths.clone();
    paths.log = match record.config.log.driver.as_str() {
        "json-file" => inner.layout.log_path(id),
        _ => std::path::PathBuf::new(),
    };
    if let NetworkMode::Container(other) = &settings.network {
        let donor = inner.find(other)?.record();
        paths.hosts.clone_from(&donor.paths.hosts);
        paths.hostname.clone_from(&donor.paths.hostname);
        paths.resolv_conf.clone_from(&donor.paths.resolv_conf);
    } else {
        paths.hosts = inner.layout.hosts_path(id);
        paths.hostname = inner.layout.hostname_path(id);
        paths.resolv_conf = inner.layout.resolv_conf_path(id);
        write_file(&paths.hosts, &hosts_text(inner, record, settings, endpoints, links))?;
        write_file(&paths.hostname, &format!("{}\n", record.config.hostname))?;
        write_file(&paths.resolv_conf, &resolver_text(inner, settings))?;
    }
    let present = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    let files = Files {
        hosts: present(&paths.hosts),
        hostname: present(&paths.hostname),
        resolv_conf: present(&paths.resolv_conf),
        shared_memory: super::lookup::shared_memory(inner, settings),
    };
    Ok((paths, files))
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o644).open(path);
    opened
        .and_then(|mut file| {
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
            file.write_all(text.as_bytes())
        })
        .doing(|| format!("writing {}", path.display()))
}

fn hosts_text(
    inner: &Inner,
    record: &ContainerRecord,
    settings: &Settings,
    endpoints: &[Endpoint],
    links: &Links,
) -> String {
    let host_gateway = crate::system::host_gateways(inner);
    let v6 = endpoints.iter().any(|endpoint| endpoint.ipv6.is_some());
    let addresses = endpoints
        .iter()
        .flat_map(|endpoint| endpoint.ipv4.map(IpAddr::V4).into_iter().chain(endpoint.ipv6.map(IpAddr::V6)))
        .collect();
    let request = HostsRequest {
        hostname: &record.config.hostname,
        domainname: &record.config.domainname,
        addresses,
        extra_hosts: &settings.extra_hosts,
        host_gateway,
        links: links.hosts.clone(),
        ipv6: v6 || matches!(settings.network, NetworkMode::Default | NetworkMode::None),
    };
    if settings.network == NetworkMode::Host {
        let host_file = fs::read_to_string("/etc/hosts").unwrap_or_default();
        return hosts::generate_for_host_network(&host_file, &request);
    }
    hosts::generate(&request)
}

fn resolver_text(inner: &Inner, settings: &Settings) -> String {
    let config = inner.config();
    let network = &config.network;
    let own = |own: &[String], engine: Vec<String>| if own.is_empty() { engine } else { own.to_vec() };
    let servers = own(&settings.dns, network.dns.iter().map(IpAddr::to_string).collect());
    let search = own(&settings.dns_search, network.dns_search.clone());
    let options = own(&settings.dns_options, network.dns_options.clone());
    // A missing file is an empty one: the public servers are used then.
    let host_file = fs::read_to_string(&network.resolv_conf).unwrap_or_default();
    resolv_conf::generate(&ResolvConfRequest {
        host_file: &host_file,
        host_path: &network.resolv_conf.to_string_lossy(),
        resolver: match settings.network {
            NetworkMode::Host => Resolver::Host,
            // The engine's own name server comes with user-defined networks; until then the host's servers.
            _ => Resolver::Legacy,
        },
        servers: &servers,
        search: &search,
        options: &options,
        ipv6: network.ipv6,
    })
}

/// Environment and host names of every link.
///
/// # Errors
/// Docker's refusal when a linked container does not run.
pub(crate) fn links(inner: &Inner, record: &ContainerRecord, settings: &Settings) -> Result<Links> {
    let mut all = Links::default();
    for wish in &settings.links {
        let target = inner.find(&wish.target)?.record();
        if !target.lifecycle.state.is_running() {
            return Err(Error::internal(format!(
                "Cannot link to a non running container: /{} AS /{}/{}",
                target.name, record.name, wish.alias
            )));
        }
        let endpoints = inner.networks.endpoints_of_container(&target.id);
        let Some(address) = endpoints.iter().find_map(|endpoint| endpoint.ipv4) else { continue };
        let exposed: Vec<(u16, network::Protocol)> = exposed_of(&target);
        let described = LinkTarget {
            parent_name: &record.name,
            alias: &wish.alias,
            name: &target.name,
            hostname: &target.config.hostname,
            address: IpAddr::V4(address),
            exposed: &exposed,
            environment: &target.config.env,
        };
        all.environment.extend(link::environment(&described));
        all.hosts.push(HostsEntry { address: address.to_string(), names: link::host_names(&described) });
    }
    Ok(all)
}

fn exposed_of(record: &ContainerRecord) -> Vec<(u16, network::Protocol)> {
    let settings = super::create_record::settings_of(record).unwrap_or_default();
    let published = settings.ports.iter().map(|port| (port.container_port, port.protocol.clone()));
    let mut ports: Vec<(u16, network::Protocol)> = settings
        .exposed
        .iter()
        .cloned()
        .chain(published)
        .filter_map(|(port, protocol)| {
            network::Protocol::from_name(&protocol).map(|protocol| (port, protocol))
        })
        .collect();
    ports.sort_by_key(|(port, protocol)| (*port, protocol.number()));
    ports.dedup();
    ports
}
