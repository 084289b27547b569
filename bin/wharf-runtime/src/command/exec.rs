//! `exec`: one more command in a running container.

use std::os::fd::OwnedFd;

use oci::runtime::{Process, Spec, Status};
use runtime::container::Container;
use runtime::{Exec, ExecRequest, Stdio};

use super::{console, foreground};
use crate::Context;
use crate::arguments::{Flag, Parsed, parse};
use crate::failure::{Failure, Result};

const FLAGS: [Flag; 17] = [
    Flag::value("console-socket"),
    Flag::value("cwd"),
    Flag::short_value("env", 'e'),
    Flag::short_switch("tty", 't'),
    Flag::short_value("user", 'u'),
    Flag::short_value("additional-gids", 'g'),
    Flag::short_value("process", 'p'),
    Flag::short_switch("detach", 'd'),
    Flag::value("pid-file"),
    Flag::value("process-label"),
    Flag::value("apparmor"),
    Flag::switch("no-new-privs"),
    Flag::short_value("cap", 'c'),
    Flag::value("preserve-fds"),
    Flag::value("cgroup"),
    Flag::switch("ignore-paused"),
    Flag::switch("no-subreaper"),
];

/// What runc ends with when the command could not be run at all.
const FAILED: u8 = 255;

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &FLAGS, false)?;
    run_one(context, &parsed).map_err(|error| Failure::new(format!("exec failed: {error}")).with_code(FAILED))
}

fn run_one(context: &Context, parsed: &Parsed) -> Result<i32> {
    let (id, command) =
        parsed.rest.split_first().ok_or_else(|| Failure::new("container id cannot be empty"))?;
    let container = context.store.load(id)?;
    check(&container, parsed)?;
    let mut spec = container.spec()?;
    let process = process(parsed, &mut spec, command)?;
    let detached = parsed.has("detach");
    let console = if process.terminal && !detached && parsed.get("console-socket").is_none() {
        None
    } else {
        console::Socket::new(parsed.get("console-socket"), process.terminal)?
    };
    let signals = if detached { None } else { Some(foreground::signals()?) };
    let made = execute(&container, parsed, spec, process)?;
    if let (Some(console), Some(master)) = (&console, &made.pty_master) {
        console.send(master)?;
    }
    super::write_pid(parsed.get("pid-file"), made.pid)?;
    let Some(signals) = signals else { return Ok(0) };
    let terminal: Option<OwnedFd> = if console.is_some() { None } else { made.pty_master };
    foreground::wait(&signals, &made.pidfd, made.pid, terminal)
}

fn check(container: &Container, parsed: &Parsed) -> Result<()> {
    match container.status() {
        Status::Stopped => Err(Failure::new("cannot exec in a stopped container")),
        Status::Paused if !parsed.has("ignore-paused") => {
            Err(Failure::new("cannot exec in a paused container (use --ignore-paused to override)"))
        }
        _ => Ok(()),
    }
}

fn execute(container: &Container, parsed: &Parsed, spec: Spec, process: Process) -> Result<Exec> {
    let stdio = if process.terminal { Stdio::Terminal { rows: 0, columns: 0 } } else { Stdio::Inherit };
    let linux = spec.linux.unwrap_or_default();
    let seccomp = match &linux.seccomp {
        Some(document) => {
            let program = linux::seccomp::compile(document);
            Some(program.map_err(|error| Failure::new(model::error::chain(&error)))?.to_bytes())
        }
        None => None,
    };
    let personality =
        linux.personality.as_ref().map(|personality| if personality.domain == "LINUX32" { 8 } else { 0 });
    let cgroup = parsed.get("cgroup").map(|below| below_container(container, below));
    Ok(runtime::exec(ExecRequest {
        seccomp,
        personality,
        preserve: parsed.number("preserve-fds")?.unwrap_or(0),
        cgroup,
        ..ExecRequest::new(container.pidfd()?, container.record().pid, process, stdio)
    })?)
}

/// `[controllers:]path`, counted from the container's own cgroup.
fn below_container(container: &Container, path: &str) -> String {
    let path = path.rsplit_once(':').map_or(path, |(_, path)| path);
    let own = container.record().cgroup.clone().unwrap_or_default();
    format!("{own}/{}", path.trim_matches('/')).trim_end_matches('/').to_owned()
}

/// The process document given, or the container's own with what the flags change.
fn process(parsed: &Parsed, spec: &mut Spec, command: &[String]) -> Result<Process> {
    if let Some(path) = parsed.get("process") {
        return Ok(runtime::store::read(std::path::Path::new(path))?);
    }
    if command.is_empty() {
        return Err(Failure::new("process args cannot be empty"));
    }
    let mut process = spec.process.take().unwrap_or_default();
    process.args = command.to_vec();
    process.terminal = parsed.has("tty");
    process.no_new_privileges |= parsed.has("no-new-privs");
    process.env.extend(parsed.all("env").map(str::to_owned));
    if let Some(directory) = parsed.get("cwd") {
        process.cwd = directory.to_owned();
    }
    if let Some(profile) = parsed.get("apparmor") {
        process.apparmor_profile = profile.to_owned();
    }
    if let Some(label) = parsed.get("process-label") {
        process.selinux_label = label.to_owned();
    }
    set_user(parsed, &mut process)?;
    add_capabilities(parsed, &mut process)?;
    Ok(process)
}

fn set_user(parsed: &Parsed, process: &mut Process) -> Result<()> {
    let number = |text: &str, what: &str| {
        text.parse::<u32>().map_err(|_| Failure::new(format!("parsing {text} as int for {what} failed")))
    };
    if let Some(user) = parsed.get("user") {
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        process.user.uid = number(uid, "uid")?;
        if let Some(gid) = gid {
            process.user.gid = number(gid, "gid")?;
        }
    }
    for gid in parsed.all("additional-gids") {
        process.user.additional_gids.push(number(gid, "gid")?);
    }
    Ok(())
}

fn add_capabilities(parsed: &Parsed, process: &mut Process) -> Result<()> {
    let added: Vec<String> = parsed.all("cap").map(str::to_owned).collect();
    if let Some(unknown) = added.iter().find(|name| linux::capability::Set::of(name).is_none()) {
        return Err(Failure::new(format!("unknown capability {unknown:?}")));
    }
    if added.is_empty() {
        return Ok(());
    }
    let sets = process.capabilities.get_or_insert_default();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(added.iter().cloned());
    }
    Ok(())
}
