//! Programs that the specification wants to be run at points of the lifecycle.

use std::ffi::CString;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio as ProcessStdio};
use std::time::Duration;

use linux::arguments::Arguments;
use linux::clone::Clone;
use linux::{Errno, SysResult};
use oci::runtime::{Hook, Hooks, State};
use rustix::fs::MemfdFlags;

use crate::error::{Error, Result};
use crate::plan::c_string;

/// Hooks that the container's process runs itself, before its root changes and before its command runs.
#[derive(Debug, Default)]
pub(crate) struct ChildHooks {
    pub(crate) create_container: Vec<ChildHook>,
    pub(crate) start_container: Vec<ChildHook>,
    /// State documents for both kinds, and what the hooks printed; none without hooks.
    pub(crate) files: Option<HookFiles>,
}

/// One hook, ready to be executed without allocation.
#[derive(Debug)]
pub(crate) struct ChildHook {
    path: CString,
    arguments: Arguments,
    environment: Arguments,
    timeout: Option<Duration>,
}

/// Memory that the caller and the container's process share.
#[derive(Debug)]
pub(crate) struct HookFiles {
    pub(crate) creating: OwnedFd,
    pub(crate) created: OwnedFd,
    pub(crate) output: OwnedFd,
}

impl ChildHooks {
    /// Checks the hooks and makes room for what they read and print.
    pub(crate) fn new(hooks: Option<&Hooks>) -> Result<Self> {
        let Some(hooks) = hooks else { return Ok(Self::default()) };
        check(hooks)?;
        if hooks.create_container.is_empty() && hooks.start_container.is_empty() {
            return Ok(Self::default());
        }
        let prepare = |hooks: &[Hook]| hooks.iter().map(ChildHook::new).collect::<Result<Vec<_>>>();
        Ok(Self {
            create_container: prepare(&hooks.create_container)?,
            start_container: prepare(&hooks.start_container)?,
            files: Some(HookFiles { creating: memory()?, created: memory()?, output: memory()? }),
        })
    }
}

impl HookFiles {
    /// Writes the state documents once the process's id is known.
    pub(crate) fn fill(&self, state: &State) -> Result<()> {
        let write = |file: &OwnedFd, status| {
            let document = serde_json::to_vec(&State { status, ..state.clone() }).unwrap_or_default();
            std::fs::File::from(file.try_clone()?).write_all(&document)
        };
        write(&self.creating, oci::runtime::Status::Creating)
            .and_then(|()| write(&self.created, oci::runtime::Status::Created))
            .map_err(|error| Error::spec(format!("state for hooks: {error}")))
    }

    /// What hooks have printed, at most some kilobytes.
    pub(crate) fn printed(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(file) = self.output.try_clone() {
            let mut file = std::fs::File::from(file);
            let _ = file.rewind();
            let _ = file.take(8192).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

impl ChildHook {
    fn new(hook: &Hook) -> Result<Self> {
        let list =
            |strings: &[String]| Arguments::new(strings).map_err(|error| Error::spec(error.to_string()));
        let arguments =
            if hook.args.is_empty() { list(std::slice::from_ref(&hook.path))? } else { list(&hook.args)? };
        Ok(Self {
            path: c_string(hook.path.as_str())?,
            arguments,
            environment: list(&hook.env)?,
            timeout: timeout(hook),
        })
    }

    /// Runs the hook from the container's process. ECANCELED when it says no, ETIME when it takes too long.
    pub(crate) fn run(&self, state: BorrowedFd<'_>, output: BorrowedFd<'_>) -> SysResult<()> {
        rustix::fs::seek(state, rustix::fs::SeekFrom::Start(0))?;
        let child = Clone::default().run(|| {
            let _ = self.become_hook(state, output);
            127
        })?;
        if !linux::pidfd::wait_end(child.pidfd.as_fd(), self.timeout)? {
            linux::pidfd::send_signal(child.pidfd.as_fd(), 9)?;
            linux::pidfd::wait(child.pidfd.as_fd())?;
            return Err(Errno::TIME);
        }
        match linux::pidfd::wait(child.pidfd.as_fd())? {
            linux::pidfd::Exit::Code(0) => Ok(()),
            _ => Err(Errno::CANCELED),
        }
    }

    fn become_hook(&self, state: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Errno {
        let placed = linux::descriptor::place_in_child(state, 0)
            .and_then(|()| linux::descriptor::place_in_child(output, 1))
            .and_then(|()| linux::descriptor::place_in_child(output, 2))
            .and_then(|()| linux::descriptor::close_on_exec_from(3));
        match placed {
            Err(error) => error,
            Ok(()) => {
                linux::signal::restore_defaults();
                linux::execute::path(&self.path, &self.arguments, &self.environment)
            }
        }
    }
}

/// Runs hooks of the caller's side in order; the first failure ends the row.
pub fn run(kind: &'static str, hooks: &[Hook], state: &State) -> Result<()> {
    let document = serde_json::to_vec(state).unwrap_or_default();
    for (number, hook) in hooks.iter().enumerate() {
        run_one(hook, &document).map_err(|reason| Error::Hook { kind, number, reason })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, document: &[u8]) -> std::result::Result<(), String> {
    let input = linux::memfd::sealed_bytes("state", document).map_err(|error| error.to_string())?;
    let output = memory().map_err(|error| error.to_string())?;
    let share = || output.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(&hook.path);
    let environment = hook.env.iter().filter_map(|pair| pair.split_once('='));
    command.args(hook.args.iter().skip(1)).env_clear().envs(environment);
    if let Some(name) = hook.args.first() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    let streams = (ProcessStdio::from(input), ProcessStdio::from(share()?), ProcessStdio::from(share()?));
    command.stdin(streams.0).stdout(streams.1).stderr(streams.2);
    let mut child = command.spawn().map_err(|error| format!("fork/exec {}: {}", hook.path, text(&error)))?;
    let pidfd = linux::pidfd::open(i32::try_from(child.id()).unwrap_or_default());
    let pidfd = pidfd.map_err(|error| linux::errno::text(error).to_owned())?;
    if linux::pidfd::wait_end(pidfd.as_fd(), timeout(hook)) == Ok(false) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!(
            "hook ran past specified timeout of {:.1}s",
            hook.timeout.unwrap_or_default() as f64
        ));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let printed = HookFiles { creating: share()?, created: share()?, output }.printed();
    let ended = status.code().map_or_else(|| "signal".to_owned(), |code| format!("exit status {code}"));
    Err(format!("{ended}, stdout: , stderr: {printed}"))
}

fn text(error: &std::io::Error) -> String {
    Errno::from_io_error(error)
        .map_or_else(|| error.to_string(), |errno| linux::errno::text(errno).to_owned())
}

fn timeout(hook: &Hook) -> Option<Duration> {
    hook.timeout
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

fn check(hooks: &Hooks) -> Result<()> {
    let all = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    match all.into_iter().flatten().find(|hook| !hook.path.starts_with('/')) {
        Some(hook) => Err(Error::spec(format!("hook path {:?} is not absolute", hook.path))),
        None => Ok(()),
    }
}

fn memory() -> Result<OwnedFd> {
    rustix::fs::memfd_create(c"hook", MemfdFlags::CLOEXEC).map_err(Error::system(crate::Step::Hook, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Option<i64>) -> Hook {
        let args = vec!["sh".into(), "-c".into(), script.into()];
        Hook { path: "/bin/sh".into(), args, env: vec!["A=b".into()], timeout }
    }

    #[test]
    fn hooks_read_the_state() {
        let state = State { id: "x1".into(), ..State::default() };
        run("poststart", &[hook("test $A = b && grep -q '\"id\":\"x1\"'", None)], &state).unwrap();
    }

    #[test]
    fn failures_say_why() {
        let state = State::default();
        let error =
            run("poststart", &[hook("true", None), hook("echo no >&2; exit 3", None)], &state).unwrap_err();
        assert_eq!(error.to_string(), "error running poststart hook #1: exit status 3, stdout: , stderr: no");
        let error = run("poststart", &[hook("exec sleep 20", Some(1))], &state).unwrap_err();
        assert!(error.to_string().contains("timeout of 1.0s"), "{error}");
        assert!(
            ChildHooks::new(Some(&Hooks {
                poststop: vec![Hook { path: "x".into(), ..Hook::default() }],
                ..Hooks::default()
            }))
            .is_err()
        );
    }
}
