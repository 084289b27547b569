//! Limits: which values Docker takes, which it drops with a warning, which it refuses.

use linux::cgroup::Features;

use super::cpuset;
use super::settings::Limits;
use crate::{Error, Result};

const LEAST_MEMORY: i64 = 6 << 20;

/// What the machine has, for the checks.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What its kernel can limit.
    pub features: Features,
    /// Processors the engine may use.
    pub processors: u32,
    /// Whether cgroups are version 2.
    pub cgroup_v2: bool,
}

/// Takes the limits out of the request's document.
pub fn from_document(resources: &api::container::Resources) -> Limits {
    let throttles = |list: &Option<Vec<api::container::ThrottleDevice>>| {
        list.iter().flatten().map(|device| (device.path.clone(), device.rate)).collect()
    };
    Limits {
        memory: resources.memory,
        memory_reservation: resources.memory_reservation,
        memory_swap: resources.memory_swap,
        memory_swappiness: resources.memory_swappiness.filter(|value| *value != -1),
        oom_kill_disable: resources.oom_kill_disable.unwrap_or(false),
        nano_cpus: resources.nano_cpus,
        cpu_shares: resources.cpu_shares,
        cpu_period: resources.cpu_period,
        cpu_quota: resources.cpu_quota,
        cpu_realtime_period: resources.cpu_realtime_period,
        cpu_realtime_runtime: resources.cpu_realtime_runtime,
        cpuset_cpus: resources.cpuset_cpus.clone(),
        cpuset_mems: resources.cpuset_mems.clone(),
        pids: resources.pids_limit.filter(|limit| *limit > 0),
        blkio_weight: resources.blkio_weight,
        blkio_weight_device: resources
            .blkio_weight_device
            .iter()
            .flatten()
            .map(|device| (device.path.clone(), device.weight))
            .collect(),
        blkio_read_bps: throttles(&resources.blkio_device_read_bps),
        blkio_write_bps: throttles(&resources.blkio_device_write_bps),
        blkio_read_iops: throttles(&resources.blkio_device_read_iops),
        blkio_write_iops: throttles(&resources.blkio_device_write_iops),
    }
}

/// Checks limits in Docker's order; drops what the kernel cannot do and says so in `warnings`.
///
/// # Errors
/// Docker's text for the first value that makes no sense.
pub fn check(limits: &mut Limits, machine: &Machine, update: bool, warnings: &mut Vec<String>) -> Result<()> {
    check_memory(limits, machine, update, warnings)?;
    check_pids(limits, machine, warnings);
    check_cpu(limits, machine, warnings)?;
    check_cpusets(limits, machine, warnings)?;
    check_block(limits, machine, warnings)
}

fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::invalid(message))
}

fn check_memory(
    limits: &mut Limits,
    machine: &Machine,
    update: bool,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let features = &machine.features;
    if limits.memory != 0 && limits.memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if limits.memory > 0 && !features.memory_limit {
        warnings.push("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.".to_owned());
        limits.memory = 0;
        limits.memory_swap = -1;
    }
    if limits.memory > 0 && limits.memory_swap != -1 && !features.swap_limit {
        warnings.push("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.".to_owned());
        limits.memory_swap = -1;
    }
    if limits.memory > 0 && limits.memory_swap > 0 && limits.memory_swap < limits.memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if limits.memory == 0 && limits.memory_swap > 0 && !update {
        return refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if let Some(value) = limits.memory_swappiness {
        if !features.memory_swappiness {
            warnings.push("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.".to_owned());
            limits.memory_swappiness = None;
        } else if !(0..=100).contains(&value) {
            return refuse(format!("Invalid value: {value}, valid memory swappiness range is 0-100"));
        }
    }
    if limits.memory_reservation > 0 && !features.memory_reservation {
        warnings.push("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.".to_owned());
        limits.memory_reservation = 0;
    }
    if limits.memory_reservation > 0 && limits.memory_reservation < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if limits.memory > 0 && limits.memory_reservation > 0 && limits.memory < limits.memory_reservation {
        return refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if limits.oom_kill_disable && !features.oom_kill_disable {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
        limits.oom_kill_disable = false;
    }
    if limits.oom_kill_disable && limits.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned());
    }
    Ok(())
}

fn check_pids(limits: &mut Limits, machine: &Machine, warnings: &mut Vec<String>) {
    if limits.pids.is_some() && !machine.features.pids {
        warnings.push("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.".to_owned());
        limits.pids = None;
    }
}

fn check_cpu(limits: &mut Limits, machine: &Machine, warnings: &mut Vec<String>) -> Result<()> {
    if limits.nano_cpus != 0 && limits.cpu_period > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if limits.nano_cpus != 0 && limits.cpu_quota > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if limits.nano_cpus != 0 && !machine.features.cpu_quota {
        return refuse(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        );
    }
    let processors = machine.processors;
    if limits.nano_cpus < 0 || limits.nano_cpus > i64::from(processors) * 1_000_000_000 {
        return refuse(format!(
            "Range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        ));
    }
    if limits.cpu_shares > 0 && !machine.features.cpu_shares {
        warnings.push(
            "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded."
                .to_owned(),
        );
        limits.cpu_shares = 0;
    }
    if (limits.cpu_period != 0 || limits.cpu_quota != 0) && !machine.features.cpu_quota {
        warnings
            .push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.".to_owned());
        limits.cpu_period = 0;
        limits.cpu_quota = 0;
    }
    if limits.cpu_period != 0 && !(1000..=1_000_000).contains(&limits.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if limits.cpu_quota > 0 && limits.cpu_quota < 1000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    Ok(())
}

fn check_cpusets(limits: &mut Limits, machine: &Machine, warnings: &mut Vec<String>) -> Result<()> {
    if (!limits.cpuset_cpus.is_empty() || !limits.cpuset_mems.is_empty()) && !machine.features.cpuset {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.".to_owned(),
        );
        limits.cpuset_cpus.clear();
        limits.cpuset_mems.clear();
    }
    for (text, available, kind, things) in [
        (&limits.cpuset_cpus, &machine.features.cpus, "cpus", "CPUs"),
        (&limits.cpuset_mems, &machine.features.mems, "mems", "memory nodes"),
    ] {
        let wanted = cpuset::parse(text)
            .map_err(|why| Error::invalid(format!("Invalid value {text} for cpuset {kind}: {why}")))?;
        let there = cpuset::parse(available).unwrap_or_default();
        if !wanted.is_subset(&there) {
            return refuse(format!(
                "Requested {things} are not available - requested {text}, available: {available}"
            ));
        }
    }
    Ok(())
}

fn check_block(limits: &mut Limits, machine: &Machine, warnings: &mut Vec<String>) -> Result<()> {
    let features = &machine.features;
    if limits.blkio_weight > 0 && !features.block_weight {
        warnings.push(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
                .to_owned(),
        );
        limits.blkio_weight = 0;
    }
    if limits.blkio_weight > 0 && !(10..=1000).contains(&limits.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    if !limits.blkio_weight_device.is_empty() && !features.block_weight_device {
        warnings.push("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.".to_owned());
        limits.blkio_weight_device.clear();
    }
    let dropped: [(&mut Vec<(String, u64)>, &str); 4] = [
        (&mut limits.blkio_read_bps, "BPS Block I/O read limit"),
        (&mut limits.blkio_write_bps, "BPS Block I/O write limit"),
        (&mut limits.blkio_read_iops, "IOPS Block read limit"),
        (&mut limits.blkio_write_iops, "IOPS Block write limit"),
    ];
    for (list, name) in dropped {
        if !list.is_empty() && !features.block_throttle {
            warnings.push(format!(
                "Your kernel does not support {name} or the cgroup is not mounted. {name} discarded."
            ));
            list.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let features = Features {
            memory_limit: true,
            swap_limit: true,
            memory_reservation: true,
            memory_swappiness: true,
            oom_kill_disable: true,
            cpu_shares: true,
            cpu_quota: true,
            cpuset: true,
            cpus: "0-1".to_owned(),
            mems: "0".to_owned(),
            pids: true,
            ..Features::default()
        };
        Machine { features, processors: 2, cgroup_v2: false }
    }

    fn refusal(change: impl FnOnce(&mut Limits)) -> String {
        let mut limits = Limits::default();
        change(&mut limits);
        check(&mut limits, &machine(), false, &mut Vec::new())
            .map_or_else(|error| error.message().to_owned(), |()| String::new())
    }

    /// Row 30 of the security list: nothing out of range reaches the kernel.
    #[test]
    fn values_out_of_range_are_refused_in_docker_s_words() {
        assert_eq!(refusal(|limits| limits.memory = 1024), "Minimum memory limit allowed is 6MB");
        assert_eq!(refusal(|limits| limits.memory = -5), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            refusal(|limits| limits.memory_swap = 50 << 20),
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        );
        assert_eq!(
            refusal(|limits| limits.nano_cpus = -1),
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(
            refusal(|limits| limits.cpuset_cpus = "0-99".to_owned()),
            "Requested CPUs are not available - requested 0-99, available: 0-1"
        );
        assert_eq!(
            refusal(|limits| limits.cpuset_cpus = "0-4294967295".to_owned()),
            "Invalid value 0-4294967295 for cpuset cpus: value of out range, maximum is 8192"
        );
        assert_eq!(
            refusal(|limits| limits.cpuset_mems = "x".to_owned()),
            "Invalid value x for cpuset mems: invalid format: x"
        );
        assert_eq!(
            refusal(|limits| limits.memory_swappiness = Some(101)),
            "Invalid value: 101, valid memory swappiness range is 0-100"
        );
        assert_eq!(
            refusal(|limits| limits.cpu_quota = 10),
            "CPU cfs quota can not be less than 1ms (i.e. 1000)"
        );
        assert_eq!(refusal(|limits| limits.memory = 100 << 20), "");
    }

    #[test]
    fn what_the_kernel_cannot_do_is_dropped_with_a_warning() {
        let mut warnings = Vec::new();
        let mut limits = Limits { blkio_weight: 5, oom_kill_disable: true, ..Limits::default() };
        check(&mut limits, &machine(), false, &mut warnings).unwrap();
        assert_eq!(limits.blkio_weight, 0);
        assert_eq!(warnings.len(), 2);
    }
}
