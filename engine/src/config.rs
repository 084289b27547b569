//! What an engine is told at its start: one validated, immutable snapshot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use snapshot::DriverChoice as StorageDriver;

/// Everything the engine does not find out by itself.
///
/// Filled by the daemon from its flags and file; nothing below the binaries reads the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// What survives a reboot: images, snapshots, volumes, records.
    pub data_root: PathBuf,
    /// What does not: sockets, pid files, exit records (on tmpfs).
    pub exec_root: PathBuf,
    /// The shim's binary; copied once into a sealed memory file and executed from there.
    pub shim_path: PathBuf,
    /// Host name shown by `info`; the kernel's when absent.
    pub name: Option<String>,
    /// Version shown by `info` and `version`.
    pub version: String,
    /// Commit shown by `version`.
    pub commit: String,
    /// Time of the build, RFC 3339, shown by `version`.
    pub build_time: String,
    /// The default bridge and what networks share.
    pub network: NetworkConfig,
    /// Log driver and options of containers that name none.
    pub log: LogConfig,
    /// Limits of containers that set none, by name.
    pub default_ulimits: BTreeMap<String, Ulimit>,
    /// Size of /dev/shm, bytes.
    pub default_shm_size: i64,
    /// Seconds between the stop signal and KILL.
    pub default_stop_timeout: i32,
    /// `private` or `shareable`.
    pub default_ipc_mode: String,
    /// `private` or `host`; empty means by cgroup version.
    pub default_cgroupns_mode: String,
    /// Whether containers get the built-in init unless they say otherwise.
    pub init: bool,
    /// How layers are kept.
    pub storage_driver: StorageDriver,
    /// Whether no container may gain privileges.
    pub no_new_privileges: bool,
    /// System call filter of containers that name none.
    pub seccomp_profile: SeccompDefault,
    /// Cgroup below which containers live; `/docker` when empty.
    pub cgroup_parent: String,
    /// `cgroupfs` or `systemd` as `info` shows it.
    pub cgroup_driver: String,
    /// Labels of the engine, `key=value`.
    pub labels: Vec<String>,
    /// Name of the runtime that containers use; `runc` and `wharf` mean the built-in one.
    pub default_runtime: String,
    /// Other OCI runtimes by name.
    pub runtimes: BTreeMap<String, RuntimeConfig>,
    /// Whether experimental routes are on.
    pub experimental: bool,
    /// Whether the engine is verbose.
    pub debug: bool,
    /// Whether running containers outlive an orderly `shutdown`.
    pub live_restore: bool,
    /// Seconds an orderly `shutdown` waits for containers.
    pub shutdown_timeout: i32,
    /// Registry settings and proxies, shown by `info`.
    pub registry: RegistryConfig,
    /// What removes images that nobody uses; none keeps them all.
    pub image_budget: Option<ImageBudget>,
    /// By which rules the cache of builds goes; none keeps it all.
    pub build_cache: Vec<crate::build::CacheRule>,
    /// Ids of containers with a user namespace; none when containers have the machine's ids.
    pub id_ranges: Option<IdRanges>,
    /// Fault injection of tests: called with the name of each step.
    pub fail_at: Option<FailHook>,
}

/// Settings of the default bridge and of address handling.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Name of the default bridge; `None` when the default network is off (`--bridge none`).
    pub bridge: Option<String>,
    /// Address and prefix of the bridge, `172.17.0.1/16`.
    pub bip: Option<String>,
    /// The same for IPv6.
    pub bip6: Option<String>,
    /// Range that container addresses are taken from.
    pub fixed_cidr: Option<String>,
    /// The same for IPv6.
    pub fixed_cidr_v6: Option<String>,
    /// Gateway announced to containers instead of the bridge.
    pub default_gateway: Option<IpAddr>,
    /// The same for IPv6.
    pub default_gateway_v6: Option<IpAddr>,
    /// Bytes; 0 means 1500.
    pub mtu: u32,
    /// Whether containers on the bridge reach one another.
    pub icc: bool,
    /// Whether outgoing traffic is masqueraded.
    pub ip_masq: bool,
    /// Whether the engine switches forwarding on.
    pub ip_forward: bool,
    /// Whether the engine keeps firewall rules (IPv4).
    pub iptables: bool,
    /// The same for IPv6.
    pub ip6tables: bool,
    /// Whether the default bridge has IPv6.
    pub ipv6: bool,
    /// Host address of published ports that name none.
    pub host_binding_ip: Option<IpAddr>,
    /// Whether a user-space forwarder may be used.
    pub userland_proxy: bool,
    /// Pools that subnets of new networks are taken from: base and prefix length.
    pub address_pools: Vec<AddressPool>,
    /// Name servers of containers.
    pub dns: Vec<IpAddr>,
    /// Search domains of containers.
    pub dns_search: Vec<String>,
    /// Resolver options of containers.
    pub dns_options: Vec<String>,
    /// What `host-gateway` stands for in `--add-host`.
    pub host_gateway_ips: Vec<IpAddr>,
    /// The host's resolver file.
    pub resolv_conf: PathBuf,
}

/// Ids of the machine that stand for those of containers, from 0 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdRanges {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
}

/// Ids that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first one.
    pub first: u32,
    /// How many.
    pub size: u32,
}

/// One pool of subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// `172.17.0.0/12`
    pub base: String,
    /// Prefix length of each subnet taken from it.
    pub size: u8,
}

/// Log driver with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `json-file`, `local` or `none`.
    pub driver: String,
    /// `max-size`, `max-file`, ...
    pub options: BTreeMap<String, String>,
}

/// A resource limit of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// Soft limit, -1 for none.
    pub soft: i64,
    /// Hard limit, -1 for none.
    pub hard: i64,
}

/// Which system call filter is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompDefault {
    /// Docker's allow list.
    Builtin,
    /// None.
    Unconfined,
    /// A profile in Docker's format: its path (for `info`) and its text.
    File {
        /// Where it was read from.
        path: PathBuf,
        /// The JSON document.
        text: String,
    },
}

/// Another OCI runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Its binary.
    pub path: String,
    /// Arguments before the command.
    pub arguments: Vec<String>,
}

/// Names under which clients ask for the runtime that is there anyway.
pub const BUILT_IN_RUNTIMES: [&str; 3] = ["runc", "io.containerd.runc.v2", "wharf"];

impl RuntimeConfig {
    /// Whether it is what containers are run with anyway: `wharf-runtime` is that as a program.
    pub fn is_ours(&self) -> bool {
        Path::new(&self.path).file_name().is_some_and(|name| name == "wharf-runtime")
    }
}

/// Registries and proxies.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Mirrors of Docker Hub.
    pub mirrors: Vec<String>,
    /// Mirrors of other registries by name; `*` for those without an own entry.
    pub other_mirrors: BTreeMap<String, Vec<String>>,
    /// Folders with certificates for single hosts.
    pub certificates: Vec<PathBuf>,
    /// Blobs fetched at once, by all pulls together; 0 for no bound.
    pub max_concurrent_downloads: usize,
    /// Blobs pushed at once, by all pushes together; 0 for no bound.
    pub max_concurrent_uploads: usize,
    /// Attempts in a row to get something.
    pub max_download_attempts: usize,
    /// Hosts and networks spoken to without verified TLS.
    pub insecure: Vec<String>,
    /// Proxy for http.
    pub http_proxy: String,
    /// Proxy for https.
    pub https_proxy: String,
    /// Hosts reached without proxy.
    pub no_proxy: String,
}

/// How much room images may take, and which of them stay whatever happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageBudget {
    /// Bytes of all images together.
    pub size: Option<u64>,
    /// Bytes that stay free on the file system.
    pub free: Option<u64>,
    /// Images used, named or had within that time stay.
    pub keep: std::time::Duration,
    /// Images with one of these labels stay (`key` or `key=value`).
    pub pinned_labels: Vec<String>,
    /// Images with a name that matches one of these patterns stay.
    pub pinned_names: Vec<String>,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            other_mirrors: BTreeMap::new(),
            certificates: vec![PathBuf::from("/etc/docker/certs.d"), PathBuf::from("/etc/wharf/certs.d")],
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
            insecure: Vec::new(),
            http_proxy: String::new(),
            https_proxy: String::new(),
            no_proxy: String::new(),
        }
    }
}

/// Called before each step that can be made to fail; `true` makes it fail.
#[derive(Clone)]
pub struct FailHook(pub Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl std::fmt::Debug for FailHook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("FailHook")
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            bridge: Some("wharf0".to_owned()),
            bip: None,
            bip6: None,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            default_gateway: None,
            default_gateway_v6: None,
            mtu: 1500,
            icc: true,
            ip_masq: true,
            ip_forward: true,
            iptables: true,
            ip6tables: true,
            ipv6: false,
            host_binding_ip: None,
            userland_proxy: true,
            address_pools: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            host_gateway_ips: Vec::new(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { driver: "json-file".to_owned(), options: BTreeMap::new() }
    }
}

impl Config {
    /// Docker's defaults below two folders, with the shim at `shim_path`.
    pub fn new(data_root: PathBuf, exec_root: PathBuf, shim_path: PathBuf) -> Self {
        Self {
            data_root,
            exec_root,
            shim_path,
            name: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: String::new(),
            build_time: String::new(),
            network: NetworkConfig::default(),
            log: LogConfig::default(),
            default_ulimits: BTreeMap::new(),
            default_shm_size: 64 << 20,
            default_stop_timeout: 10,
            default_ipc_mode: "private".to_owned(),
            default_cgroupns_mode: String::new(),
            init: false,
            storage_driver: StorageDriver::Automatic,
            no_new_privileges: false,
            seccomp_profile: SeccompDefault::Builtin,
            cgroup_parent: String::new(),
            cgroup_driver: "cgroupfs".to_owned(),
            labels: Vec::new(),
            default_runtime: "runc".to_owned(),
            runtimes: BTreeMap::new(),
            experimental: false,
            debug: false,
            live_restore: true,
            shutdown_timeout: 15,
            registry: RegistryConfig::default(),
            image_budget: None,
            build_cache: Vec::new(),
            id_ranges: None,
            fail_at: None,
        }
    }
}
