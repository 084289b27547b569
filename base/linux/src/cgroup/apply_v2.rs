//! Limits written to the files of version 2.

use std::os::fd::AsFd;

use oci::runtime::{BlockIo, Cpu, DeviceCgroup, Memory, Resources};

use super::apply::{limit, list, throttled};
use super::apply_v1::rdma_line;
use super::file::Directory;
use super::{Error, Result};

pub(super) fn apply(directory: &Directory, resources: &Resources) -> Result<()> {
    devices(directory, &resources.devices)?;
    if let Some(cpu) = &resources.cpu {
        processor(directory, cpu)?;
    }
    if let Some(limits) = &resources.memory {
        memory(directory, limits)?;
    }
    if let Some(pids) = &resources.pids {
        let value = if pids.limit <= 0 { "max".to_owned() } else { pids.limit.to_string() };
        write(directory, "pids", "pids", "pids.max", &value)?;
    }
    if let Some(limits) = &resources.block_io {
        block(directory, limits)?;
    }
    for one in &resources.hugepage_limits {
        let size = super::features::page_size(&one.page_size)?;
        write(directory, "hugetlb", "huge pages", &format!("hugetlb.{size}.max"), &one.limit.to_string())?;
        directory.write_if_present(&format!("hugetlb.{size}.rsvd.max"), &one.limit.to_string())?;
    }
    for (device, limits) in &resources.rdma {
        write(directory, "rdma", "rdma", "rdma.max", &rdma_line(device, limits))?;
    }
    for (file, value) in &resources.unified {
        raw(directory, file, value)?;
    }
    Ok(())
}

/// A missing file means its controller is not enabled, which is said instead of "no such file".
fn write(
    directory: &Directory,
    controller: &'static str,
    limit: &'static str,
    file: &str,
    value: &str,
) -> Result<()> {
    if directory.write_if_present(file, value)? {
        Ok(())
    } else {
        Err(Error::Controller { controller, limit })
    }
}

/// A file of the configuration's `unified` map: one name in this directory, one value per line.
fn raw(directory: &Directory, file: &str, value: &str) -> Result<()> {
    if file.contains('/') || !file.contains('.') {
        return Err(Error::Value { limit: "unified", value: file.into() });
    }
    value.split('\n').filter(|line| !line.is_empty()).try_for_each(|line| directory.write(file, line))
}

fn devices(directory: &Directory, rules: &[DeviceCgroup]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let rules = crate::bpf::rules(rules)?;
    crate::bpf::replace(directory.fd.as_fd(), &rules)
        .map_err(|source| Error::Devices { path: directory.path.clone(), source })
}

fn processor(directory: &Directory, cpu: &Cpu) -> Result<()> {
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        write(directory, "cpu", "cpu shares", "cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    if let Some(idle) = cpu.idle {
        write(directory, "cpu", "cpu idle", "cpu.idle", &idle.to_string())?;
    }
    quota(directory, cpu)?;
    for (file, name, text) in
        [("cpuset.cpus", "cpuset cpus", &cpu.cpus), ("cpuset.mems", "cpuset mems", &cpu.mems)]
    {
        if !text.is_empty() {
            write(directory, "cpuset", name, file, list(name, text)?)?;
        }
    }
    Ok(())
}

fn quota(directory: &Directory, cpu: &Cpu) -> Result<()> {
    let (quota, period) = (cpu.quota.filter(|quota| *quota != 0), cpu.period.filter(|period| *period != 0));
    if cpu.burst.is_some() && quota.is_some() {
        // An old burst may be more than the new quota allows.
        directory.write_if_present("cpu.max.burst", "0")?;
    }
    if quota.is_some() || period.is_some() {
        let now = directory.text("cpu.max").unwrap_or_default();
        let standing = now.split_whitespace().next().unwrap_or("max");
        let quota = quota.map_or(Ok(standing.to_owned()), |quota| limit("cpu quota", quota, "max"))?;
        let value = period.map_or(quota.clone(), |period| format!("{quota} {period}"));
        write(directory, "cpu", "cpu quota", "cpu.max", &value)?;
    }
    match cpu.burst {
        Some(burst) => write(directory, "cpu", "cpu burst", "cpu.max.burst", &burst.to_string()),
        None => Ok(()),
    }
}

/// Shares of version 1 (2 to 262144, normally 1024) as a weight of version 2 (1 to 10000, normally 100): a quadratic
/// curve of the logarithms through the three matching points.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^18")]
            let power = (shares as f64).log2();
            let exponent = (power * power + 125.0 * power) / 612.0 - 7.0 / 34.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = 10f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

fn memory(directory: &Directory, memory: &Memory) -> Result<()> {
    let wanted = memory.limit.filter(|value| *value != 0);
    if memory.check_before_update == Some(true) {
        let usage = directory.number("memory.current").unwrap_or(0);
        if let Some(value) = wanted.and_then(|value| u64::try_from(value).ok()).filter(|value| *value < usage)
        {
            return Err(Error::Value { limit: "memory (below present usage)", value: value.to_string() });
        }
    }
    if let Some(value) = swap_alone(memory)? {
        // Without swap accounting there is no file, and no swap to limit either.
        let written = directory.write_if_present("memory.swap.max", &value)?;
        if !written && value != "max" && value != "0" && !directory.has("memory.max") {
            return Err(Error::Controller { controller: "memory", limit: "memory swap" });
        }
    }
    if let Some(value) = wanted {
        write(directory, "memory", "memory", "memory.max", &limit("memory", value, "max")?)?;
    }
    if let Some(value) = memory.reservation.filter(|value| *value != 0) {
        write(
            directory,
            "memory",
            "memory reservation",
            "memory.low",
            &limit("memory reservation", value, "max")?,
        )?;
    }
    Ok(())
}

/// Version 1 limits memory and swap together, version 2 swap alone.
fn swap_alone(memory: &Memory) -> Result<Option<String>> {
    let refused = |value: i64| Error::Value { limit: "memory swap", value: value.to_string() };
    match (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
        (-1, 0) | (_, -1) => Ok(Some("max".to_owned())),
        (_, 0) => Ok(None),
        (limit, swap) if limit <= 0 || swap < limit => Err(refused(swap)),
        (limit, swap) => Ok(Some((swap - limit).to_string())),
    }
}

fn block(directory: &Directory, block: &BlockIo) -> Result<()> {
    if let Some(value) = block.weight.filter(|weight| *weight != 0) {
        weight(directory, "", value)?;
    }
    for device in &block.weight_device {
        if let Some(value) = device.weight {
            weight(directory, &format!("{}:{} ", device.major, device.minor), value)?;
        }
    }
    let kinds = [
        ("rbps", &block.throttle_read_bps_device),
        ("wbps", &block.throttle_write_bps_device),
        ("riops", &block.throttle_read_iops_device),
        ("wiops", &block.throttle_write_iops_device),
    ];
    for (key, devices) in kinds {
        for device in devices {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            write(
                directory,
                "io",
                "block I/O rate",
                "io.max",
                &format!("{} {key}={rate}", throttled(device)),
            )?;
        }
    }
    Ok(())
}

/// BFQ takes Docker's range as it is; `io.weight` goes from 1 to 10000.
fn weight(directory: &Directory, device: &str, value: u16) -> Result<()> {
    if directory.write_if_present("io.bfq.weight", &format!("{device}{value}"))? {
        return Ok(());
    }
    let wide = 1 + u64::from(value.max(10) - 10) * 9999 / 990;
    let line = if device.is_empty() { format!("default {wide}") } else { format!("{device}{wide}") };
    write(directory, "io", "block I/O weight", "io.weight", &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        let rows = [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000), (512, 59)];
        for (shares, weight) in rows {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn swap_is_told_without_memory() {
        let check = |limit, swap, expected: Option<Option<&str>>| {
            let memory = Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() };
            let value = swap_alone(&memory).ok();
            assert_eq!(value, expected.map(|text| text.map(str::to_owned)), "{limit} {swap}");
        };
        check(100, 300, Some(Some("200")));
        check(100, 100, Some(Some("0")));
        check(100, -1, Some(Some("max")));
        check(-1, 0, Some(Some("max")));
        check(100, 0, Some(None));
        check(100, 50, None);
        check(0, 50, None);
    }
}
