//! Limits and devices.

use oci::runtime::{
    BlockIo, Cpu, Device, DeviceCgroup, Memory, Pids, Resources, ThrottleDevice, WeightDevice,
};

use crate::container::settings::{Limits, Settings};

/// A device with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Path in the container.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Devices and numbers that settings only name.
#[derive(Debug, Clone, Default)]
pub struct ResolvedDevices {
    /// Everything is allowed (`--privileged`).
    pub all: bool,
    /// Devices made in the container.
    pub nodes: Vec<DeviceNode>,
    /// Rules of `--device-cgroup-rule`.
    pub rules: Vec<DeviceCgroup>,
    /// Numbers of the block devices that limits name, in the limits' order of path lists.
    pub blkio: BlkioNumbers,
}

/// Device numbers for the block limits.
#[derive(Debug, Clone, Default)]
pub struct BlkioNumbers {
    /// For the weights.
    pub weights: Vec<(i64, i64, u16)>,
    /// For bytes read.
    pub read_bps: Vec<(i64, i64, u64)>,
    /// For bytes written.
    pub write_bps: Vec<(i64, i64, u64)>,
    /// For reads.
    pub read_iops: Vec<(i64, i64, u64)>,
    /// For writes.
    pub write_iops: Vec<(i64, i64, u64)>,
}

impl ResolvedDevices {
    pub(super) fn nodes(&self) -> Vec<Device> {
        self.nodes
            .iter()
            .map(|node| Device {
                path: node.path.clone(),
                kind: node.kind.to_string(),
                major: node.major,
                minor: node.minor,
                file_mode: Some(node.mode),
                uid: Some(node.uid),
                gid: Some(node.gid),
            })
            .collect()
    }

    fn cgroup_rules(&self) -> Vec<DeviceCgroup> {
        if self.all {
            return vec![DeviceCgroup { allow: true, access: "rwm".to_owned(), ..DeviceCgroup::default() }];
        }
        let rule = |allow, major, minor| DeviceCgroup {
            allow,
            kind: "c".to_owned(),
            major: Some(major),
            minor: Some(minor),
            access: "rwm".to_owned(),
        };
        let mut rules =
            vec![DeviceCgroup { allow: false, access: "rwm".to_owned(), ..DeviceCgroup::default() }];
        rules.extend(
            [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)].map(|(major, minor)| rule(true, major, minor)),
        );
        rules.push(rule(false, 10, 229));
        rules.extend(self.nodes.iter().map(|node| DeviceCgroup {
            allow: true,
            kind: node.kind.to_string(),
            major: Some(node.major),
            minor: Some(node.minor),
            access: node.permissions.clone(),
        }));
        rules.extend(self.rules.iter().cloned());
        rules
    }
}

pub(super) fn generate(settings: &Settings, devices: &ResolvedDevices) -> Resources {
    Resources { devices: devices.cgroup_rules(), ..update_resources(&settings.limits, &devices.blkio) }
}

/// The limits alone, without device rules: what `update` applies.
pub fn update_resources(limits: &Limits, blkio: &BlkioNumbers) -> Resources {
    Resources {
        memory: Some(memory(limits)),
        cpu: Some(cpu(limits)),
        pids: limits
            .pids
            .filter(|limit| *limit != 0)
            .map(|limit| Pids { limit: if limit < 0 { -1 } else { limit } }),
        block_io: block_io(limits, blkio),
        ..Resources::default()
    }
}

fn memory(limits: &Limits) -> Memory {
    let positive = |value: i64| (value > 0).then_some(value);
    Memory {
        limit: positive(limits.memory),
        reservation: positive(limits.memory_reservation),
        // Unlimited is what a group without limit of memory has anyway, also where nothing can be limited.
        swap: (limits.memory_swap > 0 || limits.memory_swap < 0 && limits.memory != 0)
            .then_some(limits.memory_swap),
        swappiness: limits.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        disable_oom_killer: Some(limits.oom_kill_disable),
        ..Memory::default()
    }
}

fn cpu(limits: &Limits) -> Cpu {
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value != 0);
    let mut cpu = Cpu {
        shares: positive(limits.cpu_shares),
        period: positive(limits.cpu_period),
        quota: (limits.cpu_quota != 0).then_some(limits.cpu_quota),
        realtime_period: positive(limits.cpu_realtime_period),
        realtime_runtime: (limits.cpu_realtime_runtime != 0).then_some(limits.cpu_realtime_runtime),
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..Cpu::default()
    };
    if limits.nano_cpus > 0 {
        // Docker's period of 100 ms.
        cpu.period = Some(100_000);
        cpu.quota = Some(limits.nano_cpus / 10_000);
    }
    cpu
}

fn block_io(limits: &Limits, numbers: &BlkioNumbers) -> Option<BlockIo> {
    let throttles = |list: &[(i64, i64, u64)]| {
        list.iter()
            .map(|(major, minor, rate)| ThrottleDevice { major: *major, minor: *minor, rate: *rate })
            .collect()
    };
    let block_io = BlockIo {
        weight: (limits.blkio_weight != 0).then_some(limits.blkio_weight),
        weight_device: numbers
            .weights
            .iter()
            .map(|(major, minor, weight)| WeightDevice {
                major: *major,
                minor: *minor,
                weight: Some(*weight),
                leaf_weight: None,
            })
            .collect(),
        throttle_read_bps_device: throttles(&numbers.read_bps),
        throttle_write_bps_device: throttles(&numbers.write_bps),
        throttle_read_iops_device: throttles(&numbers.read_iops),
        throttle_write_iops_device: throttles(&numbers.write_iops),
        ..BlockIo::default()
    };
    (block_io != BlockIo::default()).then_some(block_io)
}
