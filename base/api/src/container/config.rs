//! What a container runs: `Config`, and the request that creates one.
#![expect(missing_docs, reason = "fields are documented by the swagger definitions they are named after")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::HostConfig;
use crate::network::NetworkingConfig;
use crate::shape::{Empty, is_default, text_or_list};

/// The portable part of a container's configuration (swagger `ContainerConfig`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// Keys like `80/tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    #[serde(deserialize_with = "text_or_list")]
    pub env: Option<Vec<String>>,
    #[serde(deserialize_with = "text_or_list")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    #[serde(skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    pub image: String,
    pub volumes: Option<BTreeMap<String, Empty>>,
    pub working_dir: String,
    #[serde(deserialize_with = "text_or_list")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    /// Until API 1.51.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: String,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text_or_list")]
    pub shell: Option<Vec<String>>,
}

/// How a container's health is probed; durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthConfig {
    /// Empty: inherit; `["NONE"]`; `["CMD", ...]`; `["CMD-SHELL", line]`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text_or_list")]
    pub test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_default")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub retries: i64,
}

/// Body of `POST /containers/create`: the fields of [`Config`] with two more beside them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: Config,
    pub host_config: HostConfig,
    pub networking_config: NetworkingConfig,
}

impl<'de> Deserialize<'de> for CreateRequest {
    /// Reads the same object twice, because `flatten` would lose the lenient matching of names.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Beside {
            host_config: HostConfig,
            networking_config: NetworkingConfig,
        }
        let whole = serde_json::Value::deserialize(input)?;
        let config = crate::decode_value(&whole).map_err(serde::de::Error::custom)?;
        let beside: Beside = crate::decode_value(&whole).map_err(serde::de::Error::custom)?;
        Ok(Self { config, host_config: beside.host_config, networking_config: beside.networking_config })
    }
}

/// Answer of create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateResponse {
    pub id: String,
    /// Never null.
    pub warnings: Vec<String>,
}
