//! What a process runs, as whom and with which limits, ready for system calls.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use linux::arguments::Arguments;
use linux::capability::{Set, Sets};
use linux::rlimit::Limit;
use linux::scheduling::{Numbers, Scheduling};
use oci::runtime::{Capabilities, Process, Rlimit, Seccomp, User};

use super::filter::Filter;
use super::scheduling;
use super::text::c_string;
use crate::error::{Error, Result};
use crate::request::{InitProgram, Stdio};

/// A process to become.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    /// The command as asked for, its name first.
    pub(crate) arguments: Arguments,
    /// Its environment, with room for HOME when it has none.
    pub(crate) environment: Arguments,
    /// HOME is to be found out inside the container.
    pub(crate) wants_home: bool,
    /// Working directory.
    pub(crate) directory: CString,
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// All groups the process is in, the primary one included.
    pub(crate) groups: Vec<u32>,
    /// File mode creation mask.
    pub(crate) umask: u32,
    /// Capabilities; none given means none held.
    pub(crate) capabilities: Sets,
    /// Never gains privileges.
    pub(crate) no_new_privileges: bool,
    /// Resource limits.
    pub(crate) rlimits: Vec<Limit>,
    /// CPU scheduling.
    pub(crate) scheduling: Option<Scheduling>,
    /// Class and priority.
    pub(crate) io_priority: Option<(i32, i32)>,
    /// CPUs it runs on.
    pub(crate) affinity: Option<Numbers>,
    /// Mode with flags, and nodes.
    pub(crate) memory_policy: Option<(u32, Option<Numbers>)>,
    /// Execution domain.
    pub(crate) personality: Option<u32>,
    /// Security labels: file below the process's directory in /proc and value.
    pub(crate) labels: Vec<(CString, Vec<u8>)>,
    /// System call filter.
    pub(crate) filter: Option<Filter>,
    /// Socket of the filter's listener, and what is sent along.
    pub(crate) listener: Option<(String, String)>,
    /// Out-of-memory score adjustment, written by the caller's side.
    pub(crate) oom_score: Option<i64>,
    /// The small init in front of the command.
    pub(crate) init: Option<(OwnedFd, Arguments)>,
    /// Standard streams.
    pub(crate) stdio: Stdio,
    /// Descriptors after standard error the command inherits.
    pub(crate) preserve: u32,
    /// Stays in the caller's session keyring.
    pub(crate) keep_keyring: bool,
    /// Killed when the calling thread ends.
    pub(crate) die_with_parent: bool,
}

/// What is not in the process document.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) stdio: Stdio,
    pub(crate) filter: Option<Vec<u8>>,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) init: Option<InitProgram>,
    pub(crate) preserve: u32,
    pub(crate) personality: Option<u32>,
    pub(crate) keep_keyring: bool,
    pub(crate) die_with_parent: bool,
}

/// Longest home directory taken from a container's passwd file.
const HOME: usize = 4096;

impl ProcessPlan {
    /// Checks and converts a process document.
    pub(crate) fn new(process: &Process, extra: Extra) -> Result<Self> {
        if process.args.is_empty() {
            return Err(Error::spec("process.args cannot be empty"));
        }
        if !process.cwd.starts_with('/') {
            return Err(Error::spec("Cwd property must be an absolute path"));
        }
        check_ids(&process.user)?;
        let environment = arguments(&process.env)?;
        let wants_home = environment.value_of(b"HOME").is_none_or(<[u8]>::is_empty);
        let filter = Filter::new(extra.filter, extra.seccomp.as_ref(), process.no_new_privileges)?;
        Ok(Self {
            arguments: arguments(&process.args)?,
            environment: if wants_home { environment.with_spare(HOME) } else { environment },
            wants_home,
            directory: c_string(process.cwd.as_str())?,
            uid: process.user.uid,
            gid: process.user.gid,
            groups: groups(process.user.gid, &process.user.additional_gids),
            umask: process.user.umask.unwrap_or(0o022) & 0o777,
            capabilities: capabilities(process.capabilities.as_ref())?,
            no_new_privileges: process.no_new_privileges,
            rlimits: limits(&process.rlimits)?,
            scheduling: process.scheduler.as_ref().map(scheduling::scheduler).transpose()?,
            io_priority: process.io_priority.as_ref().map(scheduling::io_priority).transpose()?,
            affinity: scheduling::affinity(process.exec_cpu_affinity.as_ref())?,
            memory_policy: None,
            personality: extra.personality,
            labels: labels(process)?,
            filter,
            listener: extra.seccomp.map(|seccomp| (seccomp.listener_path, seccomp.listener_metadata)),
            oom_score: process.oom_score_adj,
            init: extra.init.map(|init| init_program(init, &process.args)).transpose()?,
            stdio: stdio(extra.stdio, process),
            preserve: extra.preserve,
            keep_keyring: extra.keep_keyring,
            die_with_parent: extra.die_with_parent,
        })
    }
}

/// The highest number means "leave it as it is" to the kernel, and what it is is root.
fn check_ids(user: &User) -> Result<()> {
    let mut ids = [user.uid, user.gid].into_iter().chain(user.additional_gids.iter().copied());
    if ids.any(|id| id == u32::MAX) {
        return Err(Error::spec(format!("invalid user or group id {}", u32::MAX)));
    }
    Ok(())
}

fn arguments(strings: &[String]) -> Result<Arguments> {
    Arguments::new(strings).map_err(|error| Error::spec(error.to_string()))
}

fn init_program(init: InitProgram, command: &[String]) -> Result<(OwnedFd, Arguments)> {
    let all = init.arguments.iter().chain(command);
    let list = Arguments::new(all).map_err(|error| Error::spec(error.to_string()))?;
    Ok((init.program, list))
}

/// The primary group belongs to the set, or a file that denies that group something would not deny it.
fn groups(primary: u32, additional: &[u32]) -> Vec<u32> {
    let mut groups = vec![primary];
    for group in additional {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    groups
}

fn capabilities(capabilities: Option<&Capabilities>) -> Result<Sets> {
    let Some(capabilities) = capabilities else { return Ok(Sets::default()) };
    let held = Set::bounding();
    Ok(Sets {
        bounding: set(&capabilities.bounding, held),
        effective: set(&capabilities.effective, held),
        permitted: set(&capabilities.permitted, held),
        inheritable: set(&capabilities.inheritable, held),
        ambient: set(&capabilities.ambient, held),
    })
}

/// Unknown names are left out, as runc does: a newer document must run on an older kernel.
fn set(names: &[String], held: Set) -> Set {
    names.iter().filter_map(|name| Set::of(name)).fold(Set::EMPTY, Set::or).and(held)
}

/// The limits asked for; a limit that this process raised for itself only is not inherited.
fn limits(asked: &[Rlimit]) -> Result<Vec<Limit>> {
    let mut limits: Vec<Limit> = asked.iter().map(limit).collect::<Result<_>>()?;
    if let Some(before) = linux::rlimit::files_before()
        && limits.iter().all(|limit| limit.resource != before.resource)
    {
        limits.push(before);
    }
    Ok(limits)
}

fn limit(rlimit: &Rlimit) -> Result<Limit> {
    let resource = linux::rlimit::resource(&rlimit.kind);
    let resource = resource.filter(|_| rlimit.kind.starts_with("RLIMIT_"));
    let resource = resource.ok_or_else(|| Error::spec(format!("wrong rlimit value: {}", rlimit.kind)))?;
    Ok(Limit { resource, soft: rlimit.soft, hard: rlimit.hard })
}

fn labels(process: &Process) -> Result<Vec<(CString, Vec<u8>)>> {
    let mut labels = Vec::new();
    if !process.selinux_label.is_empty() {
        labels.push((c_string("self/attr/exec")?, process.selinux_label.clone().into_bytes()));
    }
    if !process.apparmor_profile.is_empty() {
        let value = format!("exec {}", process.apparmor_profile);
        labels.push((c_string("self/attr/apparmor/exec")?, value.into_bytes()));
    }
    Ok(labels)
}

/// A terminal without a size gets the document's.
fn stdio(stdio: Stdio, process: &Process) -> Stdio {
    match (stdio, &process.console_size) {
        (Stdio::Terminal { rows: 0, columns: 0 }, Some(size)) => Stdio::Terminal {
            rows: u16::try_from(size.height).unwrap_or_default(),
            columns: u16::try_from(size.width).unwrap_or_default(),
        },
        (stdio, _) => stdio,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra() -> Extra {
        Extra {
            stdio: Stdio::Inherit,
            filter: None,
            seccomp: None,
            init: None,
            preserve: 0,
            personality: None,
            keep_keyring: false,
            die_with_parent: false,
        }
    }

    fn process() -> Process {
        Process { args: vec!["sh".into()], cwd: "/".into(), ..Process::default() }
    }

    #[test]
    fn documents_are_checked() {
        assert!(ProcessPlan::new(&process(), extra()).is_ok());
        type Change = fn(&mut Process);
        let cases: [(&str, Change); 4] = [
            ("no command", |process| process.args.clear()),
            ("relative directory", |process| process.cwd = "x".into()),
            ("zero byte", |process| process.env.push("A=\0".into())),
            ("limit", |process| process.rlimits.push(Rlimit { kind: "NOFILE".into(), hard: 1, soft: 1 })),
        ];
        for (name, change) in cases {
            let mut process = process();
            change(&mut process);
            assert!(ProcessPlan::new(&process, extra()).is_err(), "{name}");
        }
    }

    #[test]
    fn groups_hold_the_primary_one() {
        let user = User { gid: 5, additional_gids: vec![7, 5, 7], ..User::default() };
        let plan = ProcessPlan::new(&Process { user, ..process() }, extra()).unwrap();
        assert_eq!(plan.groups, [5, 7]);
    }

    #[test]
    fn no_capabilities_means_none() {
        let plan = ProcessPlan::new(&process(), extra()).unwrap();
        assert_eq!(plan.capabilities, Sets::default());
        let names = vec!["CAP_CHOWN".into(), "CAP_OF_THE_FUTURE".into()];
        let capabilities = Some(Capabilities { bounding: names, ..Capabilities::default() });
        let plan = ProcessPlan::new(&Process { capabilities, ..process() }, extra()).unwrap();
        assert_eq!(plan.capabilities.bounding, Set::of("CHOWN").unwrap());
    }

    #[test]
    fn home_is_looked_up_only_when_missing() {
        for (env, wanted) in
            [(vec![], true), (vec!["HOME=".to_owned()], true), (vec!["HOME=/x".to_owned()], false)]
        {
            let plan = ProcessPlan::new(&Process { env, ..process() }, extra()).unwrap();
            assert_eq!(plan.wants_home, wanted);
        }
    }
}
