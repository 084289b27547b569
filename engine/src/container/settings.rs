//! What a container was created with, checked and typed: the part of `HostConfig` and `Config` that its start needs.
//!
//! Kept in the container's record; the documents the client sent are kept beside it for `inspect` only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Checked settings of one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Which network stack.
    pub network: NetworkMode,
    /// Which IPC namespace.
    pub ipc: IpcMode,
    /// Which pid namespace.
    pub pid: PidMode,
    /// Whether host and domain name are the host's.
    pub uts_host: bool,
    /// Whether the cgroup tree is the host's.
    pub cgroupns_host: bool,
    /// Whether ids are the machine's although the engine maps them.
    pub userns_host: bool,
    /// Everything allowed.
    pub privileged: bool,
    /// Whether the root cannot be written.
    pub readonly_rootfs: bool,
    /// `CAP_` names or `ALL`.
    pub cap_add: Vec<String>,
    /// `CAP_` names or `ALL`.
    pub cap_drop: Vec<String>,
    /// `--security-opt` as given.
    pub security_opt: Vec<String>,
    /// Paths hidden from the container.
    pub masked_paths: Vec<String>,
    /// Paths the container can only read.
    pub readonly_paths: Vec<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits by name.
    pub ulimits: Vec<Ulimit>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Rules like `c 10:200 rwm`.
    pub device_rules: Vec<String>,
    /// cgroup limits.
    pub limits: Limits,
    /// Bytes of /dev/shm.
    pub shm_size: i64,
    /// Between -1000 and 1000.
    pub oom_score_adj: i64,
    /// Further groups, names or numbers.
    pub group_add: Vec<String>,
    /// Cgroup above the container's; empty for the engine's.
    pub cgroup_parent: String,
    /// Name servers; empty for the engine's.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    /// `id:alias` of containers linked to.
    pub links: Vec<Link>,
    /// Ports asked for.
    pub ports: Vec<PortRequest>,
    /// Whether every exposed port is published.
    pub publish_all: bool,
    /// `80/tcp` of image and user.
    pub exposed: Vec<(u16, String)>,
    /// Name of the runtime.
    pub runtime: String,
    /// Tmpfs mounts of `HostConfig.Tmpfs`: destination to options.
    pub tmpfs: BTreeMap<String, String>,
    /// Wanted endpoints by network name.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// Bind sources that are made when they are missing.
    pub created_sources: Vec<String>,
    /// Rows and columns of the terminal at start.
    pub console_size: [u64; 2],
}

/// Which network stack a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// The default bridge.
    #[default]
    Default,
    /// The host's.
    Host,
    /// Only a loopback.
    None,
    /// Another container's, by name or id as given.
    Container(String),
    /// A network by name or id.
    Named(String),
}

/// Which IPC namespace a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcMode {
    /// Its own, for itself.
    #[default]
    Private,
    /// Its own, others may join.
    Shareable,
    /// Its own without /dev/shm.
    None,
    /// The host's.
    Host,
    /// Another container's (full id).
    Container(String),
}

/// Which pid namespace a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's (full id).
    Container(String),
}

/// A resource limit of its processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`.
    pub name: String,
    /// Soft limit, -1 for none.
    pub soft: i64,
    /// Hard limit, -1 for none.
    pub hard: i64,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host; a folder means every device below it.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// A link to another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container's id.
    pub target: String,
    /// What it is called here.
    pub alias: String,
}

/// A published port asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// Port in the container.
    pub container_port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// Host address as given.
    pub host_ip: String,
    /// Host port or range as given; empty for any.
    pub host_port: String,
}

/// What is wanted of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// A fixed address.
    pub ipv4: String,
    /// A fixed IPv6 address.
    pub ipv6: String,
    /// A hardware address.
    pub mac: String,
    /// Names on that network.
    pub aliases: Vec<String>,
}

/// cgroup limits; 0 and empty mean none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub memory_reservation: i64,
    /// Bytes of memory and swap together, -1 for no bound.
    pub memory_swap: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Whether processes wait instead of dying.
    pub oom_kill_disable: bool,
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds a period.
    pub cpu_quota: i64,
    /// Microseconds.
    pub cpu_realtime_period: i64,
    /// Microseconds.
    pub cpu_realtime_runtime: i64,
    /// `0-3,7`.
    pub cpuset_cpus: String,
    /// `0`.
    pub cpuset_mems: String,
    /// Number of tasks; -1 and 0 for no bound.
    pub pids: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// Weights by device path.
    pub blkio_weight_device: Vec<(String, u16)>,
    /// Bytes a second by device path.
    pub blkio_read_bps: Vec<(String, u64)>,
    /// Bytes a second by device path.
    pub blkio_write_bps: Vec<(String, u64)>,
    /// Operations a second by device path.
    pub blkio_read_iops: Vec<(String, u64)>,
    /// Operations a second by device path.
    pub blkio_write_iops: Vec<(String, u64)>,
}

/// Paths Docker hides.
pub const MASKED_PATHS: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths Docker makes read-only.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
