//! Limits applied through cgroups.

use std::collections::BTreeMap;

use super::document;

document! {
    /// Limits of a container; also the document that `update` takes.
    pub struct Resources {
        always {}
        omit {
            /// Device access rules, later ones win.
            pub devices: Vec<DeviceCgroup>,
            /// Memory.
            pub memory: Option<Memory>,
            /// Processors.
            pub cpu: Option<Cpu>,
            /// Number of tasks.
            pub pids: Option<Pids>,
            /// Block devices.
            #[serde(rename = "blockIO")]
            pub block_io: Option<BlockIo>,
            /// Huge pages.
            pub hugepage_limits: Vec<HugepageLimit>,
            /// Packet class and priorities.
            pub network: Option<NetworkResources>,
            /// RDMA handles by device.
            pub rdma: BTreeMap<String, Rdma>,
            /// cgroup v2 files by name, written as they are.
            pub unified: BTreeMap<String, String>,
        }
    }
}

document! {
    /// One device access rule.
    pub struct DeviceCgroup {
        always {
            /// Allowed or denied.
            pub allow: bool,
        }
        omit {
            /// `a`, `c` or `b`; empty means `a`.
            #[serde(rename = "type")]
            pub kind: String,
            /// Major number; none or -1 means all.
            pub major: Option<i64>,
            /// Minor number; none or -1 means all.
            pub minor: Option<i64>,
            /// Some of `rwm`.
            pub access: String,
        }
    }
}

document! {
    /// Memory limits in bytes, -1 for none.
    pub struct Memory {
        always {}
        omit {
            /// Hard limit.
            pub limit: Option<i64>,
            /// Soft limit.
            pub reservation: Option<i64>,
            /// Memory and swap together.
            pub swap: Option<i64>,
            /// Kernel memory (ignored by current kernels).
            pub kernel: Option<i64>,
            /// Kernel TCP buffers.
            #[serde(rename = "kernelTCP")]
            pub kernel_tcp: Option<i64>,
            /// 0 to 100.
            pub swappiness: Option<u64>,
            /// Do not kill when the limit is hit.
            #[serde(rename = "disableOOMKiller")]
            pub disable_oom_killer: Option<bool>,
            /// Hierarchical accounting.
            pub use_hierarchy: Option<bool>,
            /// Refuse a limit below present usage.
            pub check_before_update: Option<bool>,
        }
    }
}

document! {
    /// Processor limits, times in microseconds.
    pub struct Cpu {
        always {}
        omit {
            /// Relative weight, 2 to 262144.
            pub shares: Option<u64>,
            /// Time per period, -1 for no limit.
            pub quota: Option<i64>,
            /// Time that may be saved up.
            pub burst: Option<u64>,
            /// Length of a period.
            pub period: Option<u64>,
            /// Real-time budget per real-time period.
            pub realtime_runtime: Option<i64>,
            /// Real-time period.
            pub realtime_period: Option<u64>,
            /// CPU list.
            pub cpus: String,
            /// Memory node list.
            pub mems: String,
            /// 1 makes the group run only when nothing else does.
            pub idle: Option<i64>,
        }
    }
}

document! {
    /// Number of tasks.
    pub struct Pids {
        always {
            /// -1 or 0 for no limit.
            pub limit: i64,
        }
        omit {}
    }
}

document! {
    /// Block device limits.
    pub struct BlockIo {
        always {}
        omit {
            /// Relative weight, 10 to 1000.
            pub weight: Option<u16>,
            /// Weight against child groups.
            pub leaf_weight: Option<u16>,
            /// Weights by device.
            pub weight_device: Vec<WeightDevice>,
            /// Bytes read per second.
            pub throttle_read_bps_device: Vec<ThrottleDevice>,
            /// Bytes written per second.
            pub throttle_write_bps_device: Vec<ThrottleDevice>,
            /// Reads per second.
            #[serde(rename = "throttleReadIOPSDevice")]
            pub throttle_read_iops_device: Vec<ThrottleDevice>,
            /// Writes per second.
            #[serde(rename = "throttleWriteIOPSDevice")]
            pub throttle_write_iops_device: Vec<ThrottleDevice>,
        }
    }
}

document! {
    /// Weight of one block device.
    pub struct WeightDevice {
        always {
            /// Major number.
            pub major: i64,
            /// Minor number.
            pub minor: i64,
        }
        omit {
            /// Relative weight.
            pub weight: Option<u16>,
            /// Weight against child groups.
            pub leaf_weight: Option<u16>,
        }
    }
}

document! {
    /// Rate of one block device.
    pub struct ThrottleDevice {
        always {
            /// Major number.
            pub major: i64,
            /// Minor number.
            pub minor: i64,
            /// Bytes or operations per second.
            pub rate: u64,
        }
        omit {}
    }
}

document! {
    /// Limit of one size of huge pages.
    pub struct HugepageLimit {
        always {
            /// `2MB`, `1GB`.
            pub page_size: String,
            /// Bytes.
            pub limit: u64,
        }
        omit {}
    }
}

document! {
    /// Packet class and priorities (cgroup v1).
    pub struct NetworkResources {
        always {}
        omit {
            /// Class id of packets.
            #[serde(rename = "classID")]
            pub class_id: Option<u32>,
            /// Priority by interface.
            pub priorities: Vec<InterfacePriority>,
        }
    }
}

document! {
    /// Priority on one interface.
    pub struct InterfacePriority {
        always {
            /// Interface.
            pub name: String,
            /// Priority.
            pub priority: u32,
        }
        omit {}
    }
}

document! {
    /// RDMA limits of one device.
    pub struct Rdma {
        always {}
        omit {
            /// Handles.
            pub hca_handles: Option<u32>,
            /// Objects.
            pub hca_objects: Option<u32>,
        }
    }
}
