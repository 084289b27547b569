//! Remapped ids: which containers get a user namespace, and what is done for them from outside of it.

use std::os::fd::{AsFd, OwnedFd};

use api::container::HostConfig;
use linux::namespace::Namespaces;
use oci::runtime::{IdMapping, Spec};

use super::settings::Settings;
use crate::config::{Config, IdRange};
use crate::error::Context;
use crate::{Error, Result};

/// The maps of a container's user namespace, user ids first; none when it runs with the machine's ids.
pub(crate) fn mappings(config: &Config, settings: &Settings) -> Option<(Vec<IdMapping>, Vec<IdMapping>)> {
    let ranges = config.id_ranges.as_ref().filter(|_| !settings.userns_host)?;
    Some((lines(&ranges.uids), lines(&ranges.gids)))
}

/// Ranges follow one another inside.
fn lines(ranges: &[IdRange]) -> Vec<IdMapping> {
    let mut next = 0u32;
    let mut lines = Vec::new();
    for range in ranges {
        lines.push(IdMapping { container_id: next, host_id: range.first, size: range.size });
        next = next.saturating_add(range.size);
    }
    lines
}

/// What cannot be had with remapped ids, in Docker's words.
pub(crate) fn refusal(config: &Config, host: &HostConfig) -> Option<&'static str> {
    if config.id_ranges.is_none() || host.userns_mode == "host" {
        None
    } else if host.privileged {
        Some(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        )
    } else if host.network_mode == "host" {
        Some("cannot share the host's network namespace when user namespaces are enabled")
    } else if host.pid_mode == "host" {
        Some("cannot share the host PID namespace when user namespaces are enabled")
    } else {
        None
    }
}

/// The network namespace is the engine's, so its parameters are out of the container's reach: they are set here and
/// taken out of the specification.
pub(crate) fn set_network_parameters(document: &mut Spec, namespace: Option<&OwnedFd>) -> Result<()> {
    let Some(linux) = document.linux.as_mut().filter(|linux| !linux.uid_mappings.is_empty()) else {
        return Ok(());
    };
    let Some(namespace) = namespace else { return Ok(()) };
    let (network, rest) =
        std::mem::take(&mut linux.sysctl).into_iter().partition(|(name, _)| name.starts_with("net."));
    linux.sysctl = rest;
    let network: std::collections::BTreeMap<String, String> = network;
    let write = || -> std::io::Result<()> {
        linux::namespace::join(namespace.as_fd(), Namespaces::NETWORK)?;
        for (name, value) in &network {
            std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)?;
        }
        Ok(())
    };
    // A thread of its own: it stays in the namespace until it ends.
    std::thread::scope(|scope| scope.spawn(write).join())
        .map_err(|_| Error::internal("setting network parameters failed"))?
        .doing(|| "setting network parameters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_one_another() {
        let ranges = [IdRange { first: 1000, size: 1 }, IdRange { first: 100_000, size: 65_535 }];
        let lines: Vec<_> =
            lines(&ranges).iter().map(|line| (line.container_id, line.host_id, line.size)).collect();
        assert_eq!(lines, [(0, 1000, 1), (1, 100_000, 65_535)]);
    }
}
