//! Limits written to the files of version 1.

use oci::runtime::{
    BlockIo, Cpu, DeviceCgroup, HugepageLimit, Memory, NetworkResources, Rdma, Resources, ThrottleDevice,
};

use super::apply::{access, limit, list, throttled, wildcard};
use super::file::Directory;
use super::{Cgroup, Error, Result};

pub(super) fn apply(group: &Cgroup, resources: &Resources) -> Result<()> {
    devices(group, &resources.devices)?;
    if let Some(cpu) = &resources.cpu {
        processor(group, cpu)?;
        processor_sets(group, cpu)?;
    }
    if let Some(limits) = &resources.memory {
        memory(group, limits)?;
    }
    if let Some(pids) = &resources.pids {
        let value = if pids.limit <= 0 { "max".to_owned() } else { pids.limit.to_string() };
        need(group, "pids", "pids")?.write("pids.max", &value)?;
    }
    if let Some(limits) = &resources.block_io {
        block(group, limits)?;
    }
    huge_pages(group, &resources.hugepage_limits)?;
    if let Some(limits) = &resources.network {
        network(group, limits)?;
    }
    for (device, limits) in &resources.rdma {
        need(group, "rdma", "rdma")?.write("rdma.max", &rdma_line(device, limits))?;
    }
    Ok(())
}

fn need<'a>(group: &'a Cgroup, controller: &'static str, limit: &'static str) -> Result<&'a Directory> {
    group.directory(controller).ok_or(Error::Controller { controller, limit })
}

/// The last rule that says something about every device replaces all before it; the kernel takes what follows as
/// exceptions from it. Where no rule does, what is not allowed is denied, as on version 2.
fn devices(group: &Cgroup, rules: &[DeviceCgroup]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let directory = need(group, "devices", "devices")?;
    let lines: Vec<(bool, Vec<String>)> =
        rules.iter().map(|rule| Ok((rule.allow, device_lines(rule)?))).collect::<Result<_>>()?;
    let base = lines.iter().rposition(|(_, lines)| lines == &["a"]);
    if base.is_none() {
        directory.write("devices.deny", "a")?;
    }
    for (allow, lines) in lines.iter().skip(base.unwrap_or(0)) {
        let file = if *allow { "devices.allow" } else { "devices.deny" };
        lines.iter().try_for_each(|line| directory.write(file, line))?;
    }
    Ok(())
}

fn device_lines(rule: &DeviceCgroup) -> Result<Vec<String>> {
    let number = |number| Ok(wildcard(number)?.map_or("*".to_owned(), |number| number.to_string()));
    let (major, minor, access) = (number(rule.major)?, number(rule.minor)?, access(&rule.access)?);
    let all = matches!(rule.kind.as_str(), "" | "a");
    if all && major == "*" && minor == "*" && access.len() == 3 {
        return Ok(vec!["a".to_owned()]);
    }
    // The kernel reads nothing behind an `a`, so such a rule with numbers is said for both kinds.
    let kinds: &[&str] = match rule.kind.as_str() {
        "" | "a" => &["b", "c"],
        "c" | "u" => &["c"],
        "b" => &["b"],
        other => return Err(Error::Value { limit: "device type", value: other.into() }),
    };
    Ok(kinds.iter().map(|kind| format!("{kind} {major}:{minor} {access}")).collect())
}

fn processor(group: &Cgroup, cpu: &Cpu) -> Result<()> {
    let wanted = cpu.shares.is_some() || cpu.quota.is_some() || cpu.period.is_some() || cpu.burst.is_some();
    let wanted =
        wanted || cpu.realtime_period.is_some() || cpu.realtime_runtime.is_some() || cpu.idle.is_some();
    if !wanted {
        return Ok(());
    }
    let directory = need(group, "cpu", "cpu")?;
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        directory.write("cpu.shares", &shares.to_string())?;
    }
    if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
        directory.write("cpu.rt_period_us", &period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
        directory.write("cpu.rt_runtime_us", &runtime.to_string())?;
    }
    quota(directory, cpu)?;
    if let Some(idle) = cpu.idle {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    Ok(())
}

/// A new period can be too short for the old quota and a new quota too long for the old period: whichever the kernel
/// takes first. The burst may not exceed the quota, so an old one is dropped before and a new one is set after.
fn quota(directory: &Directory, cpu: &Cpu) -> Result<()> {
    let period = cpu.period.filter(|period| *period != 0).map(|period| period.to_string());
    let quota =
        cpu.quota.filter(|quota| *quota != 0).map(|quota| limit("cpu quota", quota, "-1")).transpose()?;
    if let Some(burst) = cpu.burst.filter(|_| quota.is_some()) {
        directory.write_if_present("cpu.cfs_burst_us", "0").map(|_| burst)?;
    }
    let mut period_left = period.as_deref();
    if let Some(value) = period_left {
        if quota.is_none() {
            directory.write("cpu.cfs_period_us", value)?;
            period_left = None;
        } else if directory.write("cpu.cfs_period_us", value).is_ok() {
            period_left = None;
        }
    }
    if let Some(value) = &quota {
        directory.write("cpu.cfs_quota_us", value)?;
    }
    if let Some(value) = period_left {
        directory.write("cpu.cfs_period_us", value)?;
    }
    if let Some(burst) = cpu.burst {
        directory.write("cpu.cfs_burst_us", &burst.to_string())?;
    }
    Ok(())
}

fn processor_sets(group: &Cgroup, cpu: &Cpu) -> Result<()> {
    for (file, name, text) in
        [("cpuset.cpus", "cpuset cpus", &cpu.cpus), ("cpuset.mems", "cpuset mems", &cpu.mems)]
    {
        if !text.is_empty() {
            need(group, "cpuset", name)?.write(file, list(name, text)?)?;
        }
    }
    Ok(())
}

fn memory(group: &Cgroup, memory: &Memory) -> Result<()> {
    let wanted =
        [memory.limit, memory.swap, memory.reservation, memory.kernel_tcp].iter().any(Option::is_some)
            || memory.swappiness.is_some()
            || memory.disable_oom_killer == Some(true);
    // Engines always say whether the killer is disabled; a machine without the controller has it enabled.
    let Some(directory) = group.directory("memory").filter(|_| wanted || memory.disable_oom_killer.is_some())
    else {
        return if wanted { need(group, "memory", "memory").map(drop) } else { Ok(()) };
    };
    hard_limits(directory, memory)?;
    if let Some(value) = memory.reservation.filter(|value| *value != 0) {
        directory.write("memory.soft_limit_in_bytes", &limit("memory reservation", value, "-1")?)?;
    }
    if let Some(value) = memory.kernel_tcp.filter(|value| *value != 0) {
        directory.write("memory.kmem.tcp.limit_in_bytes", &limit("kernel tcp memory", value, "-1")?)?;
    }
    match memory.swappiness {
        Some(value) if value > 100 => {
            return Err(Error::Value { limit: "swappiness", value: value.to_string() });
        }
        Some(value) => directory.write("memory.swappiness", &value.to_string())?,
        None => {}
    }
    if let Some(disable) = memory.disable_oom_killer {
        // Zero is what a new group has; kernels without the switch accept no write at all.
        let stands =
            directory.text("memory.oom_control").is_some_and(|text| text.starts_with("oom_kill_disable 1"));
        if disable || stands {
            directory.write("memory.oom_control", if disable { "1" } else { "0" })?;
        }
    }
    Ok(())
}

/// Memory may never exceed memory plus swap, so the order of the two writes depends on which way they move.
fn hard_limits(directory: &Directory, memory: &Memory) -> Result<()> {
    const SWAP: &str = "memory.memsw.limit_in_bytes";
    const MEMORY: &str = "memory.limit_in_bytes";
    let wanted = memory.limit.filter(|value| *value != 0);
    // Without a memory limit a limit on both together makes no sense.
    let swap = match (wanted, memory.swap.filter(|value| *value != 0)) {
        (Some(-1), None) if directory.has(SWAP) => Some(-1),
        (_, swap) => swap,
    };
    if memory.check_before_update == Some(true) {
        refuse_below_usage(directory, wanted)?;
    }
    let wanted = wanted.map(|value| limit("memory", value, "-1")).transpose()?;
    let swap_text = swap.map(|value| limit("memory swap", value, "-1")).transpose()?;
    let growing = match swap {
        Some(-1) => true,
        Some(value) => {
            directory.number(SWAP).is_some_and(|now| u64::try_from(value).is_ok_and(|value| value > now))
        }
        None => false,
    };
    let mut writes = vec![(MEMORY, wanted), (SWAP, swap_text)];
    if growing {
        writes.reverse();
    }
    for (file, value) in writes {
        if let Some(value) = value {
            directory.write(file, &value)?;
        }
    }
    Ok(())
}

fn refuse_below_usage(directory: &Directory, wanted: Option<i64>) -> Result<()> {
    let usage = directory.number("memory.usage_in_bytes").unwrap_or(0);
    match wanted.and_then(|value| u64::try_from(value).ok()) {
        Some(value) if value < usage => {
            Err(Error::Value { limit: "memory (below present usage)", value: value.to_string() })
        }
        _ => Ok(()),
    }
}

fn block(group: &Cgroup, block: &BlockIo) -> Result<()> {
    if *block == BlockIo::default() {
        return Ok(());
    }
    let directory = need(group, "blkio", "block I/O")?;
    if let Some(weight) = block.weight.filter(|weight| *weight != 0) {
        write_weight(directory, "blkio.weight", "blkio.bfq.weight", &weight.to_string())?;
    }
    if let Some(weight) = block.leaf_weight.filter(|weight| *weight != 0) {
        directory.write("blkio.leaf_weight", &weight.to_string())?;
    }
    for device in &block.weight_device {
        if let Some(weight) = device.weight {
            let line = format!("{}:{} {weight}", device.major, device.minor);
            write_weight(directory, "blkio.weight_device", "blkio.bfq.weight_device", &line)?;
        }
        if let Some(weight) = device.leaf_weight {
            directory
                .write("blkio.leaf_weight_device", &format!("{}:{} {weight}", device.major, device.minor))?;
        }
    }
    throttle(directory, "blkio.throttle.read_bps_device", &block.throttle_read_bps_device)?;
    throttle(directory, "blkio.throttle.write_bps_device", &block.throttle_write_bps_device)?;
    throttle(directory, "blkio.throttle.read_iops_device", &block.throttle_read_iops_device)?;
    throttle(directory, "blkio.throttle.write_iops_device", &block.throttle_write_iops_device)
}

/// The first file belongs to the CFQ scheduler of old kernels, the second to BFQ.
fn write_weight(directory: &Directory, old: &str, new: &str, value: &str) -> Result<()> {
    if directory.write_if_present(old, value)? { Ok(()) } else { directory.write(new, value) }
}

fn throttle(directory: &Directory, file: &str, devices: &[ThrottleDevice]) -> Result<()> {
    devices
        .iter()
        .try_for_each(|device| directory.write(file, &format!("{} {}", throttled(device), device.rate)))
}

fn huge_pages(group: &Cgroup, limits: &[HugepageLimit]) -> Result<()> {
    for one in limits {
        let directory = need(group, "hugetlb", "huge pages")?;
        let size = super::features::page_size(&one.page_size)?;
        directory.write(&format!("hugetlb.{size}.limit_in_bytes"), &one.limit.to_string())?;
        // Reservations are limited too where the kernel counts them, so that they fail early instead of by SIGBUS.
        directory.write_if_present(&format!("hugetlb.{size}.rsvd.limit_in_bytes"), &one.limit.to_string())?;
    }
    Ok(())
}

fn network(group: &Cgroup, network: &NetworkResources) -> Result<()> {
    if let Some(class) = network.class_id.filter(|class| *class != 0) {
        need(group, "net_cls", "network class")?.write("net_cls.classid", &class.to_string())?;
    }
    for one in &network.priorities {
        let line = format!("{} {}", one.name, one.priority);
        need(group, "net_prio", "network priority")?.write("net_prio.ifpriomap", &line)?;
    }
    Ok(())
}

/// The line of `rdma.max`, the same for both versions.
pub(super) fn rdma_line(device: &str, limits: &Rdma) -> String {
    let value = |value: Option<u32>| value.map_or("max".to_owned(), |value| value.to_string());
    format!("{device} hca_handle={} hca_object={}", value(limits.hca_handles), value(limits.hca_objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules_are_written_in_the_kernels_words() {
        let rule = |kind: &str, major, minor, access: &str| DeviceCgroup {
            allow: true,
            kind: kind.into(),
            major,
            minor,
            access: access.into(),
        };
        let rows = [
            (rule("", None, None, "rwm"), Some(vec!["a"])),
            (rule("a", None, None, ""), Some(vec!["a"])),
            (rule("a", None, None, "m"), Some(vec!["b *:* m", "c *:* m"])),
            (rule("c", Some(1), Some(3), "rw"), Some(vec!["c 1:3 rw"])),
            (rule("b", Some(8), Some(-1), "r"), Some(vec!["b 8:* r"])),
            (rule("p", None, None, ""), None),
            (rule("c", None, None, "x"), None),
        ];
        for (rule, expected) in rows {
            let lines = device_lines(&rule).ok();
            assert_eq!(
                lines,
                expected.map(|lines| lines.into_iter().map(str::to_owned).collect()),
                "{rule:?}"
            );
        }
    }
}
