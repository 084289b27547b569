//! Scheduling words of the process document as numbers.

use linux::scheduling::{Numbers, Scheduling};
use oci::runtime::{CpuAffinity, IoPriority, MemoryPolicy, Personality, Scheduler};

use crate::error::{Error, Result};

fn position(names: &[&str], name: &str, what: &str) -> Result<u32> {
    let found = names.iter().position(|known| *known == name).and_then(|number| u32::try_from(number).ok());
    found.ok_or_else(|| Error::spec(format!("unknown {what} {name:?}")))
}

/// `sched_setattr` numbers.
pub(crate) fn scheduler(scheduler: &Scheduler) -> Result<Scheduling> {
    const POLICIES: [&str; 7] =
        ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];
    const FLAGS: [&str; 7] = [
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX",
    ];
    let mut plan = Scheduling {
        policy: position(&POLICIES, &scheduler.policy, "scheduler policy")?,
        nice: scheduler.nice,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
        ..Scheduling::default()
    };
    plan.priority =
        u32::try_from(scheduler.priority).map_err(|_| Error::spec("negative scheduler priority"))?;
    for flag in &scheduler.flags {
        plan.flags |= 1 << position(&FLAGS, flag, "scheduler flag")?;
    }
    Ok(plan)
}

/// `ioprio_set` numbers: class and priority.
pub(crate) fn io_priority(priority: &IoPriority) -> Result<(i32, i32)> {
    const CLASSES: [&str; 4] = ["", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];
    let class = position(&CLASSES, &priority.class, "io priority class")?;
    if class == 0 || !(0..=7).contains(&priority.priority) {
        return Err(Error::spec("invalid io priority"));
    }
    Ok((i32::try_from(class).unwrap_or_default(), priority.priority))
}

/// CPUs of an exec process once it is inside; those while entering do not matter for entries this short.
pub(crate) fn affinity(affinity: Option<&CpuAffinity>) -> Result<Option<Numbers>> {
    let Some(affinity) = affinity else { return Ok(None) };
    let list = if affinity.final_.is_empty() { &affinity.initial } else { &affinity.final_ };
    if list.is_empty() {
        return Ok(None);
    }
    Numbers::parse(list).map(Some).ok_or_else(|| Error::spec(format!("invalid CPU list {list:?}")))
}

/// `set_mempolicy` numbers: mode with flags, nodes.
pub(crate) fn memory_policy(policy: &MemoryPolicy) -> Result<(u32, Option<Numbers>)> {
    const MODES: [&str; 7] = [
        "MPOL_DEFAULT",
        "MPOL_PREFERRED",
        "MPOL_BIND",
        "MPOL_INTERLEAVE",
        "MPOL_LOCAL",
        "MPOL_PREFERRED_MANY",
        "MPOL_WEIGHTED_INTERLEAVE",
    ];
    const FLAGS: [(&str, u32); 3] = [
        ("MPOL_F_STATIC_NODES", 1 << 15),
        ("MPOL_F_RELATIVE_NODES", 1 << 14),
        ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ];
    let mut mode = position(&MODES, &policy.mode, "memory policy mode")?;
    for flag in &policy.flags {
        let found = FLAGS.iter().find(|(name, _)| name == flag).map(|(_, bits)| *bits);
        mode |= found.ok_or_else(|| Error::spec(format!("unknown memory policy flag {flag:?}")))?;
    }
    if policy.nodes.is_empty() {
        return Ok((mode, None));
    }
    let nodes = Numbers::parse(&policy.nodes);
    let nodes = nodes.ok_or_else(|| Error::spec(format!("invalid node list {:?}", policy.nodes)))?;
    Ok((mode, Some(nodes)))
}

/// `personality` numbers.
pub(crate) fn personality(personality: &Personality) -> Result<u32> {
    if !personality.flags.is_empty() {
        return Err(Error::spec("unsupported personality flags"));
    }
    match personality.domain.as_str() {
        "" | "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        domain => Err(Error::spec(format!("unknown personality domain {domain:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbers() {
        let input = Scheduler {
            policy: "SCHED_BATCH".into(),
            nice: 5,
            flags: vec!["SCHED_FLAG_RECLAIM".into()],
            ..Scheduler::default()
        };
        let plan = scheduler(&input).unwrap();
        assert_eq!((plan.policy, plan.nice, plan.flags), (3, 5, 2));
        assert!(scheduler(&Scheduler { policy: "SCHED_MOON".into(), ..Scheduler::default() }).is_err());
        assert_eq!(
            io_priority(&IoPriority { class: "IOPRIO_CLASS_BE".into(), priority: 4 }).unwrap(),
            (2, 4)
        );
        assert!(io_priority(&IoPriority { class: "IOPRIO_CLASS_BE".into(), priority: 8 }).is_err());
        let policy = MemoryPolicy {
            mode: "MPOL_BIND".into(),
            nodes: "0".into(),
            flags: vec!["MPOL_F_STATIC_NODES".into()],
        };
        assert_eq!(memory_policy(&policy).unwrap().0, 2 | 1 << 15);
        assert_eq!(personality(&Personality { domain: "LINUX32".into(), flags: vec![] }).unwrap(), 8);
    }
}
