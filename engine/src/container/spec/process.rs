//! The process part: who runs what, with which privileges.

use container::ContainerRecord;
use oci::runtime::{Capabilities, ConsoleSize, Process, Rlimit, User};

use super::Input;
use crate::container::capability;
use crate::container::settings::Ulimit;
use crate::{Error, Result};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn generate(input: &Input<'_>) -> Result<Process> {
    let Input { record, settings, user, facts } = input;
    let config = &record.config;
    let [height, width] = settings.console_size;
    let args = std::iter::once(record.path.clone()).chain(record.args.iter().cloned()).collect();
    let set = capability::resolve(
        &settings.cap_add,
        &settings.cap_drop,
        settings.privileged,
        &facts.host_capabilities,
    );
    Ok(Process {
        terminal: config.tty,
        console_size: (config.tty && height > 0 && width > 0).then_some(ConsoleSize { height, width }),
        user: User { uid: user.uid, gid: user.gid, additional_gids: user.groups.clone(), ..User::default() },
        args,
        env: environment(input),
        cwd: if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() },
        capabilities: Some(capability_sets(set, user.uid)),
        rlimits: rlimits(&facts.ulimits)?,
        no_new_privileges: facts.no_new_privileges,
        apparmor_profile: facts.apparmor_profile.clone(),
        oom_score_adj: Some(settings.oom_score_adj),
        selinux_label: record.process_label.clone(),
        ..Process::default()
    })
}

/// Root has the set in effect; everybody else only within bounds.
pub(crate) fn capability_sets(set: Vec<String>, uid: u32) -> Capabilities {
    let active = if uid == 0 { set.clone() } else { Vec::new() };
    Capabilities { bounding: set, effective: active.clone(), permitted: active, ..Capabilities::default() }
}

/// What every process of a container has before anybody says anything.
pub(crate) fn base_environment(record: &ContainerRecord) -> Vec<String> {
    let mut base = vec![PATH.to_owned()];
    base.push(format!("HOSTNAME={}", record.config.hostname));
    if record.config.tty {
        base.push("TERM=xterm".to_owned());
    }
    base
}

/// Docker's order: PATH, HOSTNAME, TERM, links, then what the user and the image say; HOME last.
fn environment(input: &Input<'_>) -> Vec<String> {
    let Input { record, user, facts, .. } = input;
    let mut base = base_environment(record);
    base.extend(facts.link_environment.iter().cloned());
    let mut merged = replace_or_append(base, &record.config.env);
    add_home(&mut merged, user.home.as_deref());
    merged
}

/// The runtime's rule: HOME is the passwd file's, `/` without one, unless it is set.
pub(crate) fn add_home(environment: &mut Vec<String>, home: Option<&str>) {
    if !environment.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > 5) {
        environment.retain(|entry| entry != "HOME=");
        environment.push(format!("HOME={}", home.filter(|home| !home.is_empty()).unwrap_or("/")));
    }
}

/// Later entries replace earlier ones of the same name in place; a name without `=` removes it.
pub(crate) fn replace_or_append(mut base: Vec<String>, overrides: &[String]) -> Vec<String> {
    for entry in overrides {
        let name = entry.split('=').next().unwrap_or(entry);
        let held = base.iter().position(|old| old.split('=').next() == Some(name));
        match (held, entry.contains('=')) {
            (Some(index), true) => base[index].clone_from(entry),
            (Some(index), false) => {
                base.remove(index);
            }
            (None, true) => base.push(entry.clone()),
            (None, false) => {}
        }
    }
    base
}

pub(crate) fn rlimits(ulimits: &[Ulimit]) -> Result<Vec<Rlimit>> {
    ulimits
        .iter()
        .map(|ulimit| {
            let name = ulimit.name.to_ascii_uppercase();
            let kind = format!("RLIMIT_{name}");
            if !linux::rlimit::NAMES.contains(&name.as_str()) {
                return Err(Error::internal(format!(
                    "failed to create task for container: failed to create shim task: OCI runtime create failed: \
                     runc create failed: wrong rlimit value: {kind}: unknown"
                )));
            }
            // -1 is the kernel's infinity once taken as unsigned.
            Ok(Rlimit { kind, soft: ulimit.soft.cast_unsigned(), hard: ulimit.hard.cast_unsigned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_merge_in_place() {
        let owned = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let merged =
            replace_or_append(owned(&["PATH=/bin", "A=1", "B=2"]), &owned(&["A=x", "B", "C=3", "D"]));
        assert_eq!(merged, ["PATH=/bin", "A=x", "C=3"]);
    }

    #[test]
    fn home_is_added_once() {
        let mut env = vec!["HOME=/x".to_owned()];
        add_home(&mut env, Some("/root"));
        assert_eq!(env, ["HOME=/x"]);
        let mut env = Vec::new();
        add_home(&mut env, None);
        assert_eq!(env, ["HOME=/"]);
    }
}
