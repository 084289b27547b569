//! What is remembered about one container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{ContainerId, Labels, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Document, HealthCheck, Lifecycle, RestartPolicy};

/// The schema version written into new records.
pub const SCHEMA: u32 = 1;

/// Everything durable about one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Version of this layout.
    pub schema: u32,
    /// Its id.
    pub id: ContainerId,
    /// Its name, without the leading slash that answers show.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Digest of the image it was made from; empty for none.
    #[serde(default)]
    pub image_id: String,
    /// Its manifest for the container's platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_manifest: Option<oci::image::Descriptor>,
    /// The reference given by the user.
    #[serde(default)]
    pub image_reference: String,
    /// `linux/amd64` and the like.
    #[serde(default)]
    pub platform: String,
    /// The storage driver of its writable layer.
    #[serde(default)]
    pub storage_driver: String,
    /// Key of its writable layer in the snapshot component.
    #[serde(default)]
    pub snapshot: String,
    /// Program that is run.
    #[serde(default)]
    pub path: String,
    /// Its arguments, without the program.
    #[serde(default)]
    pub args: Vec<String>,
    /// The validated settings.
    pub config: Config,
    /// The documents the client sent (with defaults written back), for inspect.
    #[serde(default)]
    pub documents: Documents,
    /// State, times, exit code, restarts.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Mounts besides the root file system.
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    /// Networks, addresses, ports.
    #[serde(default)]
    pub network: NetworkSettings,
    /// Files that belong to it on the host.
    #[serde(default)]
    pub paths: Paths,
    /// AppArmor profile in force.
    #[serde(default)]
    pub apparmor_profile: String,
    /// SELinux label of its mounts.
    #[serde(default)]
    pub mount_label: String,
    /// SELinux label of its processes.
    #[serde(default)]
    pub process_label: String,
    /// Further pieces the engine keeps, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Document>,
}

impl ContainerRecord {
    /// A record with these settings and nothing else known yet.
    pub fn new(id: ContainerId, name: String, config: Config) -> Self {
        Self {
            schema: SCHEMA,
            id,
            name,
            created: Timestamp::now(),
            image_id: String::new(),
            image_manifest: None,
            image_reference: String::new(),
            platform: String::new(),
            storage_driver: String::new(),
            snapshot: String::new(),
            path: String::new(),
            args: Vec::new(),
            config,
            documents: Documents::default(),
            lifecycle: Lifecycle::default(),
            mounts: Vec::new(),
            network: NetworkSettings::default(),
            paths: Paths::default(),
            apparmor_profile: String::new(),
            mount_label: String::new(),
            process_label: String::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Whether the record dies with the container and is kept in memory file systems only.
    pub fn is_ephemeral(&self) -> bool {
        self.config.auto_remove || self.config.build_step
    }
}

/// Settings the component and the engine act on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Host name inside.
    pub hostname: String,
    /// Domain name inside.
    pub domainname: String,
    /// `user[:group]` as given.
    pub user: String,
    /// Working directory.
    pub working_dir: String,
    /// Entry point; None is "not set".
    pub entrypoint: Option<Vec<String>>,
    /// Command; None is "not set".
    pub command: Option<Vec<String>>,
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// Labels, the image's included.
    pub labels: Labels,
    /// Has a terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// Standard input ends with the first client.
    pub stdin_once: bool,
    /// Signal that asks it to stop, as given (`SIGTERM`, `15`); empty for TERM.
    pub stop_signal: String,
    /// Seconds between that signal and KILL; None for the default of 10, negative for never.
    pub stop_timeout: Option<i64>,
    /// The health check in force, if any.
    pub health: Option<HealthCheck>,
    /// What follows an exit.
    pub restart: RestartPolicy,
    /// Removed when it exits.
    pub auto_remove: bool,
    /// A step of a build: whoever builds removes it, and an engine that finds it left over does.
    pub build_step: bool,
    /// Where output is recorded.
    pub log: LogConfig,
    /// wharf's own init is process 1.
    pub init: bool,
    /// `bridge`, `host`, `none`, `container:ID` or a network's name.
    pub network_mode: String,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Where output is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `json-file`, `local` or `none`.
    pub driver: String,
    /// Options as given (`max-size`, `max-file`, `compress`, `labels`, `env`, `tag` ...).
    pub options: BTreeMap<String, String>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { driver: "json-file".to_owned(), options: BTreeMap::new() }
    }
}

/// The documents the client sent, for inspect.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Documents {
    /// `ContainerConfig`.
    pub config: Document,
    /// `HostConfig`.
    pub host_config: Document,
    /// `NetworkingConfig`.
    pub networking: Document,
}

/// One mount besides the root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// The volume's name.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path inside.
    pub destination: String,
    /// The volume's driver.
    pub driver: String,
    /// Options as given (`z`, `ro`).
    pub mode: String,
    /// Can be written.
    pub writable: bool,
    /// Propagation (`rprivate`).
    pub propagation: String,
    /// Mount options for the runtime.
    pub options: Vec<String>,
    /// The volume was made for this container without a name.
    pub anonymous: bool,
    /// Path below the volume's root.
    pub subpath: String,
}

/// Networks, addresses and ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSettings {
    /// The network sandbox's id.
    pub sandbox_id: String,
    /// Path that names its network namespace for people.
    pub sandbox_key: String,
    /// By network name.
    pub networks: BTreeMap<String, NetworkAttachment>,
    /// `80/tcp` to its bindings while running; None for exposed ports that are not published.
    pub ports: BTreeMap<String, Option<Vec<PortBinding>>>,
}

/// The host side of a published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// Address.
    pub host_ip: String,
    /// Port number as text.
    pub host_port: String,
}

/// Connection to one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkAttachment {
    /// The network's id.
    pub network_id: String,
    /// The endpoint's id while running.
    pub endpoint_id: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// IPv4 address.
    pub ip_address: String,
    /// IPv4 prefix length.
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    pub ipv6_gateway: String,
    /// IPv6 address.
    pub global_ipv6_address: String,
    /// IPv6 prefix length.
    pub global_ipv6_prefix_len: u8,
    /// Hardware address.
    pub mac_address: String,
    /// Names asked for.
    pub aliases: Vec<String>,
    /// Names it is known by.
    pub dns_names: Vec<String>,
    /// `container:alias`.
    pub links: Vec<String>,
    /// Options for the network's driver.
    pub driver_options: BTreeMap<String, String>,
    /// The fixed addresses asked for (`IPAMConfig`), or null.
    pub ipam: Value,
    /// Which network gives the default gateway.
    pub gateway_priority: i64,
}

/// Files that belong to the container on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Paths {
    /// Its directory below the data root.
    pub directory: PathBuf,
    /// The log file; empty when the driver keeps none.
    pub log: PathBuf,
    /// Its /etc/hostname.
    pub hostname: PathBuf,
    /// Its /etc/hosts.
    pub hosts: PathBuf,
    /// Its /etc/resolv.conf.
    pub resolv_conf: PathBuf,
}
