//! `POST /exec/{id}/start`: the process runs, its streams go from the shim to the client directly.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ::container::{Container, ContainerRecord, ExecRecord, ExecState};
use linux::root::RootDir;
use model::ExecId;
use oci::runtime::{ConsoleSize, Process, User};
use shim_protocol::{Attach, Exec, Target};

use crate::container::create_record::settings_of;
use crate::container::spec::{add_home, capability_sets, replace_or_append, rlimits};
use crate::container::{attach, capability, events, launch as container_launch, lookup, security};
use crate::engine::Inner;
use crate::error::Context;
use crate::{Error, Result};

/// Exit code of an exec that could not be started.
const NOT_STARTED: i32 = 126;

/// A claimed exec.
pub struct ExecStart {
    inner: Arc<Inner>,
    container: Arc<Container>,
    exec: ExecRecord,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether output gets frame headers.
    pub framed: bool,
}

impl std::fmt::Debug for ExecStart {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExecStart").field("exec", &self.exec.id).finish_non_exhaustive()
    }
}

pub(super) fn start(inner: &Arc<Inner>, id: &str, request: &api::exec::StartRequest) -> Result<ExecStart> {
    let found = inner.execs.find(id).map_err(Error::from_kinded)?;
    let container = inner
        .containers
        .get(&found.container)
        .ok_or_else(|| Error::not_found(format!("No such container: {}", found.container)))?;
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_exec(record.id.as_str(), record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let mut exec = inner.execs.claim_start(&found.id).map_err(Error::from_kinded)?;
    if let Some([height, width]) = request.console_size
        && let Some(size) = super::create::size(height, width)
    {
        exec.console_size = Some(size);
    }
    let tty = exec.tty;
    Ok(ExecStart { inner: Arc::clone(inner), container, exec, tty, framed: !tty })
}

impl ExecStart {
    /// Runs it without a client.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_detached(self) -> Result<()> {
        self.execute(None, Vec::new())
    }

    /// Runs it with a client's connection. When it cannot be started the client reads why on its stream.
    ///
    /// # Errors
    /// As told to the client.
    pub fn run(self, client: OwnedFd, early_input: Vec<u8>) -> Result<()> {
        let framed = self.framed;
        let result = self.execute(Some(client.as_fd()), early_input);
        if let Err(error) = &result {
            tell_failure(&client, framed, error);
        }
        result
    }

    fn execute(&self, client: Option<BorrowedFd<'_>>, early_input: Vec<u8>) -> Result<()> {
        let Self { inner, container, exec, framed, .. } = self;
        let attach = client.map(|_| Attach {
            key: inner.live(container.id()).next_key(),
            target: Target::Exec(exec.id.to_string()),
            stdin: exec.attach_stdin,
            stdout: exec.attach_stdout,
            stderr: exec.attach_stderr,
            framed: *framed,
            detach_keys: Vec::new(),
            early_input,
        });
        execute(inner, container, exec, attach, client, true)
    }
}

impl Drop for ExecStart {
    /// A client that goes away before its connection is taken over leaves an exec that nobody can start any more.
    fn drop(&mut self) {
        if self.inner.execs.abandoned(&self.exec.id, NOT_STARTED) {
            self.inner.exec_ends.wake();
        }
    }
}

fn execute(
    inner: &Inner,
    container: &Container,
    exec: &ExecRecord,
    attach: Option<Attach>,
    client: Option<BorrowedFd<'_>>,
    published: bool,
) -> Result<()> {
    let record = container.record();
    let result = try_execute(inner, &record, exec, attach, client);
    match &result {
        Ok(pid) => {
            inner.execs.started(&exec.id, *pid);
            if published {
                let action = format!("exec_start: {}", exec.command.join(" "));
                events::container(inner, &record, &action, &[("execID", exec.id.to_string())]);
            }
        }
        Err(_) => {
            // Docker 26 says so of every exec that cannot be started.
            inner.execs.exited(&exec.id, NOT_STARTED);
        }
    }
    inner.exec_ends.wake();
    result.map(|_| ())
}

fn try_execute(
    inner: &Inner,
    record: &ContainerRecord,
    exec: &ExecRecord,
    mut attach: Option<Attach>,
    client: Option<BorrowedFd<'_>>,
) -> Result<i32> {
    inner.step("exec.process")?;
    let settings = settings_of(record)?;
    let process = process_of(inner, record, exec)?;
    if let Some(attach) = &mut attach
        && exec.tty
    {
        attach.detach_keys = attach::detach_keys(Some(&exec.detach_keys))?;
    }
    let options = security::parse(&settings.security_opt)?;
    let bounding = process.capabilities.as_ref().map(|sets| sets.bounding.clone()).unwrap_or_default();
    let privileged = settings.privileged || exec.privileged;
    let config = inner.config();
    let filter = inner.seccomp.program(&options, privileged, &config.seccomp_profile, &bounding)?;
    inner.step("exec.shim")?;
    let request = Exec { id: exec.id.to_string(), process, open_stdin: exec.attach_stdin, attach };
    let started = inner.supervisor.exec(&record.id, request, &filter, client).map_err(exec_failed)?;
    Ok(started.pid)
}

fn process_of(inner: &Inner, record: &ContainerRecord, exec: &ExecRecord) -> Result<Process> {
    let settings = settings_of(record)?;
    let config = &record.config;
    let text = if exec.user.is_empty() { &config.user } else { &exec.user };
    let pid = record.lifecycle.state.pid();
    let root = || open_process_root(pid);
    let user = lookup::resolve_user(text, &settings.group_add, &root)?;
    let host = lookup::host_capabilities();
    let privileged = settings.privileged || exec.privileged;
    let set = capability::resolve(&settings.cap_add, &settings.cap_drop, privileged, &host);
    let mut base = crate::container::spec::base_environment(record);
    if !exec.tty {
        base.retain(|entry| entry != "TERM=xterm");
    } else if !base.iter().any(|entry| entry.starts_with("TERM=")) {
        base.push("TERM=xterm".to_owned());
    }
    let mut env = replace_or_append(base, &config.env);
    env = replace_or_append(env, &exec.env);
    add_home(&mut env, user.home.as_deref());
    let cwd = match (exec.working_dir.as_str(), config.working_dir.as_str()) {
        ("", "") => "/".to_owned(),
        ("", own) => own.to_owned(),
        (wanted, _) => wanted.to_owned(),
    };
    if !cwd.starts_with('/') {
        return Err(Error::internal(
            "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown",
        ));
    }
    let options = security::parse(&settings.security_opt)?;
    let no_new_privileges = options.no_new_privileges.unwrap_or(inner.config().no_new_privileges);
    Ok(Process {
        terminal: exec.tty,
        console_size: exec
            .console_size
            .map(|(height, width)| ConsoleSize { height: u64::from(height), width: u64::from(width) }),
        user: User { uid: user.uid, gid: user.gid, additional_gids: user.groups.clone(), ..User::default() },
        args: exec.command.clone(),
        env,
        cwd,
        capabilities: Some(capability_sets(set, user.uid)),
        rlimits: rlimits(&settings.ulimits)?,
        no_new_privileges,
        apparmor_profile: record.apparmor_profile.clone(),
        oom_score_adj: Some(settings.oom_score_adj),
        selinux_label: record.process_label.clone(),
        ..Process::default()
    })
}

/// The root as the container's init process sees it.
pub(crate) fn open_process_root(pid: i32) -> Result<RootDir> {
    let path = format!("/proc/{pid}/root");
    RootDir::open(path.as_ref())
        .map_err(std::io::Error::from)
        .doing(|| format!("opening the root of process {pid}"))
}

/// The runtime's text in the words Docker puts around it.
fn exec_failed(error: ::container::ShimError) -> Error {
    let text = model::error::chain(&error);
    let body = text.trim_end_matches(": unknown");
    let body = body.strip_prefix("OCI runtime exec failed: ").unwrap_or(body);
    let body = if body.starts_with("exec failed: ") {
        body.to_owned()
    } else {
        format!("exec failed: unable to start container process: {body}")
    };
    Error::internal(container_launch::with_permission_words(format!(
        "OCI runtime exec failed: {body}: unknown"
    )))
}

/// The error on the client's stream, as standard output like Docker's, ended by CR LF.
fn tell_failure(client: &OwnedFd, framed: bool, error: &Error) {
    let text = format!("{}\r\n", error.message());
    let mut bytes = Vec::new();
    if framed {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&api::stream::Channel::Stdout.header(length));
    }
    bytes.extend_from_slice(text.as_bytes());
    if let Ok(copy) = client.try_clone() {
        // A client that has gone does not need the text.
        let _ = std::fs::File::from(copy).write_all(&bytes);
    }
}

/// Runs a health probe: an exec that is in no event but counts as one otherwise.
pub(crate) fn start_probe(
    inner: &Inner,
    container: &Container,
    command: Vec<String>,
    client: BorrowedFd<'_>,
) -> Result<ExecId> {
    let id = ExecId::generate();
    let exec = ExecRecord {
        id: id.clone(),
        container: container.id().clone(),
        command,
        tty: false,
        attach_stdin: false,
        attach_stdout: true,
        attach_stderr: true,
        privileged: false,
        user: String::new(),
        working_dir: String::new(),
        env: Vec::new(),
        detach_keys: String::new(),
        console_size: None,
        document: serde_json::Value::Null,
        state: ExecState::Starting,
    };
    inner.execs.insert(exec.clone()).map_err(Error::from_kinded)?;
    let attach = Attach {
        key: inner.live(container.id()).next_key(),
        target: Target::Exec(id.to_string()),
        stdin: false,
        stdout: true,
        stderr: true,
        framed: false,
        detach_keys: Vec::new(),
        early_input: Vec::new(),
    };
    execute(inner, container, &exec, Some(attach), Some(client), true)?;
    Ok(id)
}
