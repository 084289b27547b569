//! `update`: limits and restart policy of a container, running or not.

use ::container::RestartPolicy;
use api::container::{Resources, UpdateRequest, UpdateResponse};

use super::create::SETTINGS;
use super::create_record::settings_of;
use super::settings::Limits;
use super::spec::{BlkioNumbers, update_resources};
use super::{events, limits, lookup};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

pub(crate) fn update(inner: &Inner, reference: &str, request: &UpdateRequest) -> Result<UpdateResponse> {
    let mut warnings = Vec::new();
    // Values of their own are checked before the container is looked at, as Docker does.
    let mut alone = limits::from_document(&request.resources);
    // Here nothing and less than nothing take the limit away.
    alone.pids = request.resources.pids_limit.map(|limit| if limit > 0 { limit } else { -1 });
    limits::check(&mut alone, &inner.machine, true, &mut warnings)?;
    let policy = restart_policy(request)?;
    let container = inner.find(reference)?;
    let _operation = container.operate();
    let record = container.record();
    let failed = |error: Error| error.prefixed(&format!("Cannot update container {}", record.id));
    if record.config.auto_remove && policy.is_some_and(|policy| policy != RestartPolicy::No) {
        return Err(failed(Error::internal(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        )));
    }
    let mut settings = settings_of(&record)?;
    check_processors(&settings.limits, &alone).map_err(failed)?;
    let mut merged = merge(&settings.limits, &alone);
    check_together(&settings.limits, &merged).map_err(failed)?;
    limits::check(&mut merged, &inner.machine, true, &mut Vec::new()).map_err(failed)?;
    if record.lifecycle.state.has_process() {
        let path = lookup::cgroups_path(inner, &settings, record.id.as_str());
        let resources = update_resources(&merged, &BlkioNumbers::default());
        let group = inner.hierarchies.open(&path).map_err(Error::from_kinded).map_err(failed)?;
        group.apply(&resources).map_err(Error::from_kinded).map_err(failed)?;
    }
    settings.limits = merged;
    let value = super::create_record::document(&settings)?;
    let mut shown: serde_json::Value =
        record.documents.host_config.read().doing(|| "reading the host configuration".to_owned())?;
    write_document(&mut shown, &request.resources, &settings.limits);
    if let Some(policy) = policy {
        shown["RestartPolicy"] =
            serde_json::json!({"Name": policy.name(), "MaximumRetryCount": policy.maximum()});
    }
    let shown = super::create_record::document(&shown)?;
    let kept = container.update(|record| {
        record.extra.insert(SETTINGS.to_owned(), value);
        record.documents.host_config = shown;
        if let Some(policy) = policy {
            record.config.restart = policy;
        }
    });
    kept.map_err(Error::from_kinded)?;
    events::container(inner, &container.record(), "update", &[]);
    Ok(UpdateResponse { warnings: (!warnings.is_empty()).then_some(warnings) })
}

fn restart_policy(request: &UpdateRequest) -> Result<Option<RestartPolicy>> {
    let policy = &request.restart_policy;
    if policy.is_unset() {
        return Ok(None);
    }
    RestartPolicy::new(&policy.name, policy.maximum_retry_count).map(Some).map_err(Error::from_kinded)
}

/// What is said replaces what was; zero and empty mean "not said".
fn merge(old: &Limits, new: &Limits) -> Limits {
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: &String, old: &String| if new.is_empty() { old.clone() } else { new.clone() };
    Limits {
        memory: number(new.memory, old.memory),
        memory_reservation: number(new.memory_reservation, old.memory_reservation),
        memory_swap: number(new.memory_swap, old.memory_swap),
        nano_cpus: number(new.nano_cpus, old.nano_cpus),
        cpu_shares: number(new.cpu_shares, old.cpu_shares),
        cpu_period: number(new.cpu_period, old.cpu_period),
        cpu_quota: number(new.cpu_quota, old.cpu_quota),
        cpu_realtime_period: number(new.cpu_realtime_period, old.cpu_realtime_period),
        cpu_realtime_runtime: number(new.cpu_realtime_runtime, old.cpu_realtime_runtime),
        cpuset_cpus: text(&new.cpuset_cpus, &old.cpuset_cpus),
        cpuset_mems: text(&new.cpuset_mems, &old.cpuset_mems),
        pids: new.pids.or(old.pids),
        blkio_weight: if new.blkio_weight == 0 { old.blkio_weight } else { new.blkio_weight },
        ..old.clone()
    }
}

/// Processors are limited by their number or by period and quota; one does not replace the other.
fn check_processors(old: &Limits, new: &Limits) -> Result<()> {
    let (what, held) = match new.nano_cpus > 0 {
        true if old.cpu_period > 0 => ("Nano CPUs", "CPU Period"),
        true if old.cpu_quota > 0 => ("Nano CPUs", "CPU Quota"),
        false if new.cpu_period > 0 && old.nano_cpus > 0 => ("CPU Period", "NanoCPUs"),
        false if new.cpu_quota > 0 && old.nano_cpus > 0 => ("CPU Quota", "NanoCPUs"),
        _ => return Ok(()),
    };
    Err(Error::conflict(format!(
        "Conflicting options: {what} cannot be updated as {held} has already been set"
    )))
}

fn check_together(old: &Limits, merged: &Limits) -> Result<()> {
    if old.memory_swap > 0 && merged.memory > merged.memory_swap && merged.memory_swap == old.memory_swap {
        return Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    Ok(())
}

/// `inspect` shows the new values.
fn write_document(document: &mut serde_json::Value, said: &Resources, limits: &Limits) {
    for (key, value) in [
        ("Memory", limits.memory),
        ("MemoryReservation", limits.memory_reservation),
        ("MemorySwap", limits.memory_swap),
        ("NanoCpus", limits.nano_cpus),
        ("CpuShares", limits.cpu_shares),
        ("CpuPeriod", limits.cpu_period),
        ("CpuQuota", limits.cpu_quota),
        ("CpuRealtimePeriod", limits.cpu_realtime_period),
        ("CpuRealtimeRuntime", limits.cpu_realtime_runtime),
    ] {
        document[key] = value.into();
    }
    document["CpusetCpus"] = limits.cpuset_cpus.clone().into();
    document["CpusetMems"] = limits.cpuset_mems.clone().into();
    document["BlkioWeight"] = limits.blkio_weight.into();
    if said.pids_limit.is_some() {
        document["PidsLimit"] = limits.pids.map_or(serde_json::Value::Null, Into::into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_and_quotas_exclude_each_other() {
        let period = Limits { cpu_quota: 1000, cpu_period: 10_000, memory: 1, ..Limits::default() };
        let quota = Limits { cpu_quota: 1000, ..Limits::default() };
        let number = Limits { nano_cpus: 5, ..Limits::default() };
        for (old, new, wanted) in [
            (&period, &number, Some("Nano CPUs cannot be updated as CPU Period has")),
            (&quota, &number, Some("Nano CPUs cannot be updated as CPU Quota has")),
            (&number, &period, Some("CPU Period cannot be updated as NanoCPUs has")),
            (&number, &quota, Some("CPU Quota cannot be updated as NanoCPUs has")),
            (&period, &quota, None),
            (&number, &number, None),
        ] {
            let refusal = check_processors(old, new).err().map(|error| error.to_string());
            assert_eq!(
                refusal,
                wanted.map(|text| format!("Conflicting options: {text} already been set")),
                "{old:?} {new:?}"
            );
        }
        assert_eq!(merge(&period, &quota).cpu_period, 10_000);
    }
}
