//! How a container meets its host: `HostConfig`.
#![expect(missing_docs, reason = "fields are documented by the swagger definitions they are named after")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Mount, Resources};
use crate::shape::is_default;

/// The part of a container's configuration that depends on the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, rename_all = "PascalCase")]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    pub network_mode: String,
    pub port_bindings: Option<PortMap>,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Option<Vec<String>>,
    /// Height, width.
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub cgroupns_mode: String,
    pub dns: Option<Vec<String>>,
    pub dns_options: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub group_add: Option<Vec<String>>,
    pub ipc_mode: String,
    pub cgroup: String,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opt: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    /// Bytes.
    pub shm_size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    pub runtime: String,
    pub isolation: String,
    #[serde(flatten, skip_deserializing)]
    pub resources: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// `None` asks for the defaults, an empty list for none.
    pub masked_paths: Option<Vec<String>>,
    /// `None` asks for the defaults, an empty list for none.
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

impl Serialize for HostConfig {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, output)
    }
}

impl<'de> Deserialize<'de> for HostConfig {
    /// Reads the same object twice, because `flatten` would lose the lenient matching of names.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let whole = serde_json::Value::deserialize(input)?;
        let mut host =
            Self::deserialize(crate::lenient::Lenient(&whole)).map_err(serde::de::Error::custom)?;
        host.resources = crate::decode_value(&whole).map_err(serde::de::Error::custom)?;
        Ok(host)
    }
}

/// Which log driver, and its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogConfig {
    #[serde(rename = "Type")]
    pub driver: String,
    pub config: Option<BTreeMap<String, String>>,
}

/// `80/tcp` to the host addresses it is published on; `null` for an exposed port that isn't.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// One host address and port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    #[serde(rename = "HostIp")]
    pub host_ip: String,
    /// A number, a range, or empty for a port of the engine's choice.
    #[serde(rename = "HostPort")]
    pub host_port: String,
}

/// When an exited container starts again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// Empty or `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    pub maximum_retry_count: i64,
}

impl RestartPolicy {
    /// Whether nothing was asked for.
    pub fn is_unset(&self) -> bool {
        is_default(self)
    }
}
