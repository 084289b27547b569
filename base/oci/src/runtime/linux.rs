//! The Linux part of the configuration.

use std::collections::BTreeMap;

use super::{Resources, Seccomp, document};

document! {
    /// Linux settings of a container.
    pub struct Linux {
        always {}
        omit {
            /// User ids of a new user namespace.
            pub uid_mappings: Vec<IdMapping>,
            /// Group ids of a new user namespace.
            pub gid_mappings: Vec<IdMapping>,
            /// Kernel settings by dotted key.
            pub sysctl: BTreeMap<String, String>,
            /// Limits.
            pub resources: Option<Resources>,
            /// Where the cgroup is.
            pub cgroups_path: String,
            /// Namespaces made or joined.
            pub namespaces: Vec<Namespace>,
            /// Device nodes beside the default ones.
            pub devices: Vec<Device>,
            /// Host network devices moved into the container, by host name.
            pub net_devices: BTreeMap<String, NetDevice>,
            /// System call filter.
            pub seccomp: Option<Seccomp>,
            /// `private`, `shared`, `slave` or `unbindable`.
            pub rootfs_propagation: String,
            /// Paths that read as empty.
            pub masked_paths: Vec<String>,
            /// Paths made read-only.
            pub readonly_paths: Vec<String>,
            /// SELinux label of mounts.
            pub mount_label: String,
            /// Accepted, not applied.
            pub intel_rdt: Option<IntelRdt>,
            /// NUMA policy.
            pub memory_policy: Option<MemoryPolicy>,
            /// Execution domain.
            pub personality: Option<Personality>,
            /// Clock offsets of a new time namespace.
            pub time_offsets: TimeOffsets,
        }
    }
}

/// The kinds of Linux namespaces.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceType {
    /// Process ids.
    #[default]
    Pid,
    /// Network stack.
    Network,
    /// Mount table.
    Mount,
    /// System V and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// User and group ids.
    User,
    /// Cgroup tree.
    Cgroup,
    /// Boot and monotonic clocks.
    Time,
}

document! {
    /// A namespace made (no path) or joined.
    pub struct Namespace {
        always {
            /// Which kind.
            #[serde(rename = "type")]
            pub kind: NamespaceType,
        }
        omit {
            /// Namespace file to join.
            pub path: String,
        }
    }
}

document! {
    /// A range of ids inside a user namespace and where it lies outside.
    #[derive(Copy)]
    pub struct IdMapping {
        always {
            /// First id inside.
            #[serde(rename = "containerID")]
            pub container_id: u32,
            /// First id outside.
            #[serde(rename = "hostID")]
            pub host_id: u32,
            /// How many.
            pub size: u32,
        }
        omit {}
    }
}

document! {
    /// A device node to make.
    pub struct Device {
        always {
            /// Absolute path inside the container.
            pub path: String,
            /// `c`, `b`, `u` or `p`.
            #[serde(rename = "type")]
            pub kind: String,
        }
        omit {
            /// Major number.
            pub major: i64,
            /// Minor number.
            pub minor: i64,
            /// Permission bits.
            pub file_mode: Option<u32>,
            /// Owner inside the container.
            pub uid: Option<u32>,
            /// Group inside the container.
            pub gid: Option<u32>,
        }
    }
}

document! {
    /// How a moved network device is called inside.
    pub struct NetDevice {
        always {}
        omit {
            /// New name; empty keeps the old.
            pub name: String,
        }
    }
}

document! {
    /// Cache and bandwidth allocation; accepted and ignored.
    pub struct IntelRdt {
        always {}
        omit {
            /// Class of service.
            #[serde(rename = "closID")]
            pub clos_id: String,
            /// Lines for the class.
            pub schemata: Vec<String>,
            /// Level 3 cache schema.
            pub l3_cache_schema: String,
            /// Memory bandwidth schema.
            pub mem_bw_schema: String,
            /// Monitoring of the class.
            pub enable_monitoring: bool,
        }
    }
}

document! {
    /// NUMA policy as `set_mempolicy(2)` takes it.
    pub struct MemoryPolicy {
        always {
            /// `MPOL_...`.
            pub mode: String,
        }
        omit {
            /// Node list.
            pub nodes: String,
            /// `MPOL_F_...`.
            pub flags: Vec<String>,
        }
    }
}

document! {
    /// Execution domain as `personality(2)` takes it.
    pub struct Personality {
        always {
            /// `LINUX` or `LINUX32`.
            pub domain: String,
        }
        omit {
            /// None is defined.
            pub flags: Vec<String>,
        }
    }
}

document! {
    /// Clock offsets of a time namespace.
    pub struct TimeOffsets {
        always {}
        omit {
            /// The boot clock.
            pub boottime: Option<TimeOffset>,
            /// The monotonic clock.
            pub monotonic: Option<TimeOffset>,
        }
    }
}

document! {
    /// One clock's offset.
    #[derive(Copy)]
    pub struct TimeOffset {
        always {}
        omit {
            /// Whole seconds, may be negative.
            pub secs: i64,
            /// Added nanoseconds.
            pub nanosecs: u32,
        }
    }
}
