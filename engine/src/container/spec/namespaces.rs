//! Namespaces: which are new, which are another's, and the kernel parameters that belong to them.

use std::collections::BTreeMap;

use oci::runtime::{Namespace, NamespaceType};

use super::Input;
use crate::container::settings::{IpcMode, NetworkMode, PidMode};

/// Paths (`/proc/<pid>/ns/...`) of namespaces that are joined.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// Of another container's IPC namespace.
    pub ipc: Option<String>,
    /// Of another container's pid namespace.
    pub pid: Option<String>,
}

fn new(kind: NamespaceType) -> Namespace {
    Namespace { kind, path: String::new() }
}

pub(super) fn generate(input: &Input<'_>) -> Vec<Namespace> {
    let settings = input.settings;
    let facts = input.facts;
    let mut list = vec![new(NamespaceType::Mount)];
    if settings.network != NetworkMode::Host {
        list.push(new(NamespaceType::Network));
    }
    if !settings.uts_host {
        list.push(new(NamespaceType::Uts));
    }
    match &settings.pid {
        PidMode::Private => list.push(new(NamespaceType::Pid)),
        PidMode::Host => {}
        PidMode::Container(_) => {
            list.extend(facts.joined.pid.clone().map(|path| Namespace { kind: NamespaceType::Pid, path }))
        }
    }
    match &settings.ipc {
        IpcMode::Host => {}
        IpcMode::Container(_) => {
            list.extend(facts.joined.ipc.clone().map(|path| Namespace { kind: NamespaceType::Ipc, path }))
        }
        _ => list.push(new(NamespaceType::Ipc)),
    }
    if !settings.cgroupns_host {
        list.push(new(NamespaceType::Cgroup));
    }
    if facts.id_mappings.is_some() {
        list.push(new(NamespaceType::User));
    }
    if facts.time_namespace && facts.id_mappings.is_none() {
        list.push(new(NamespaceType::Time));
    }
    list
}

pub(super) fn sysctls(input: &Input<'_>) -> BTreeMap<String, String> {
    let settings = input.settings;
    let mut sysctls = settings.sysctls.clone();
    let own_network = !matches!(settings.network, NetworkMode::Host | NetworkMode::Container(_));
    if own_network && !settings.privileged {
        sysctls.entry("net.ipv4.ip_unprivileged_port_start".to_owned()).or_insert_with(|| "0".to_owned());
        if input.facts.id_mappings.is_none() {
            sysctls
                .entry("net.ipv4.ping_group_range".to_owned())
                .or_insert_with(|| "0 2147483647".to_owned());
        }
    }
    sysctls
}
