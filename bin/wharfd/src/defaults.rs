//! Where things are when nothing else is said: wharf's own places, or dockerd's when called by that name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Default paths and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) pidfile: PathBuf,
    pub(crate) config_file: PathBuf,
    pub(crate) bridge: &'static str,
    pub(crate) group: &'static str,
    pub(crate) shim_path: PathBuf,
    /// Proxies of the environment, by the keys of the file.
    pub(crate) environment: BTreeMap<String, String>,
}

/// The last part of the name a program was called by.
pub(crate) fn base_name(name: &str) -> &str {
    Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether a program of this name is to be dockerd.
pub(crate) fn is_dockerd(name: &str) -> bool {
    base_name(name) == "dockerd"
}

impl Defaults {
    /// For a program called by this name, with the shim at this path.
    pub(crate) fn of_program(name: &str, shim_path: PathBuf) -> Self {
        if is_dockerd(name) { Self::docker(shim_path) } else { Self::wharf(shim_path) }
    }

    /// wharf's own places.
    pub(crate) fn wharf(shim_path: PathBuf) -> Self {
        Self {
            data_root: PathBuf::from("/var/lib/wharf"),
            exec_root: PathBuf::from("/run/wharf"),
            socket: PathBuf::from("/run/wharf.sock"),
            pidfile: PathBuf::from("/run/wharf.pid"),
            config_file: PathBuf::from("/etc/wharf/daemon.json"),
            bridge: "wharf0",
            group: "docker",
            shim_path,
            environment: BTreeMap::new(),
        }
    }

    fn docker(shim_path: PathBuf) -> Self {
        Self {
            data_root: PathBuf::from("/var/lib/docker"),
            exec_root: PathBuf::from("/var/run/docker"),
            socket: PathBuf::from("/var/run/docker.sock"),
            pidfile: PathBuf::from("/var/run/docker.pid"),
            config_file: PathBuf::from("/etc/docker/daemon.json"),
            bridge: "docker0",
            group: "docker",
            shim_path,
            environment: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let of = |name| Defaults::of_program(name, PathBuf::new());
        assert_eq!(of("/usr/sbin/dockerd").data_root, Path::new("/var/lib/docker"));
        assert_eq!(of("wharfd").socket, Path::new("/run/wharf.sock"));
    }
}
