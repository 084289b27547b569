//! RUN: a command in a container like any other, above the layers of the step before.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ::container::WaitCondition;
use api::container::{Config, CreateRequest, HostConfig, LogConfig, Mount, TmpfsOptions};
use api::stream::Channel;
use builder::operation::{Exec, MountKind, Secret};
use builder::{Layer, State, VertexId};
use model::ContainerId;
use shim_protocol::{Attach, Target};

use super::job::Job;
use super::{BuildError, caches, debug};
use crate::container::live::WaitingClient;
use crate::container::parameters::CreateParameters;
use crate::container::{create, remove, start};
use crate::error::Context;
use crate::storage::Image;
use crate::{Error, Result};

/// What names of folders of commands begin with.
pub(crate) const SCRATCH: &str = "build-";

/// Bytes of a secret at most.
const LARGEST_SECRET: usize = 500 << 10;

/// Where a command's own folder and what is mounted in it lie; gone with it.
pub(super) struct Scratch {
    /// On disk.
    folder: PathBuf,
    /// In memory, for secrets.
    private: PathBuf,
    used: usize,
}

impl Scratch {
    fn new(job: &Job<'_>) -> Result<Self> {
        let name = format!("{SCRATCH}{}", model::id::random_hex());
        let folder = job.inner.layout.temporary_dir().join(&name);
        let private = job.inner.layout.exec_root().join(&name);
        for path in [&folder, &private] {
            store::file::make_private_dir(path).doing(|| format!("making folder {}", path.display()))?;
        }
        Ok(Self { folder, private, used: 0 })
    }

    fn next(&mut self, private: bool) -> PathBuf {
        self.used += 1;
        let folder = if private { &self.private } else { &self.folder };
        folder.join(self.used.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in [&self.folder, &self.private] {
            if let Err(error) = std::fs::remove_dir_all(path) {
                eprintln!("removing {}: {error}", path.display());
            }
        }
    }
}

/// A container that goes, whatever happens.
pub(super) struct Step<'j> {
    pub(super) job: &'j Job<'j>,
    pub(super) id: ContainerId,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.job.ended(&self.id);
        let inner = self.job.inner;
        let Some(container) = inner.containers.get(&self.id) else { return };
        let _operation = container.operate();
        if let Err(error) = remove::remove_held(inner, &container, true, true) {
            eprintln!("container {}: removing a build's step failed: {error}", self.id);
        }
    }
}

/// Runs a command; the layer with what it changed, if it changed anything or an empty one is wanted.
pub(super) fn run(
    job: &Job<'_>,
    vertex: VertexId,
    exec: &Exec,
    inputs: &[State],
) -> std::result::Result<Option<Layer>, BuildError> {
    if exec.insecure && !job.request.insecure {
        let words = "security.insecure is not allowed: commands of this build stay in their sandbox";
        return Err(Error::forbidden(words).into());
    }
    let root = inputs.first().cloned().unwrap_or_default();
    let mut scratch = Scratch::new(job)?;
    let mut request = request(job, exec);
    let mut locks = Vec::new();
    let mut stubs = Vec::new();
    for mount in &exec.mounts {
        let prepared = prepare(job, mount, inputs, &mut scratch, &mut request, &mut locks)?;
        if let Some(target) = prepared {
            stubs.push(target);
        }
    }
    let stubs = if stubs.is_empty() { Vec::new() } else { missing(job, &root, &stubs)? };
    let image = job.image(&root)?;
    let shell = job.request.client.wants_shell().then(|| request.clone());
    let id = create_container(job, request, image)?;
    let step = Step { job, id: id.clone() };
    job.observer.running(vertex, id.as_str());
    let code = watch(job, vertex, &step, hint(exec))?;
    if let Some(error) = job.stopped() {
        return Err(error);
    }
    if code != 0 {
        if let Some(request) = shell {
            debug::debug(job, vertex, exec, &root, &step, request)?;
        }
        return Err(BuildError::Exit { vertex, command: exec.arguments.clone(), code });
    }
    take_stubs(job, &id, &stubs);
    drop(locks);
    let layer = job.layer_of(&id, &root, exec.keep_empty)?;
    drop(step);
    job.observer.removed(vertex, id.as_str());
    Ok(layer)
}

/// Programs for other machines need help that this machine may not have: what the kernel says of them, explained.
fn hint(exec: &Exec) -> Option<String> {
    let platform = &exec.platform;
    let is_foreign = platform.parse().is_ok_and(|platform| !oci::Platform::detected().runs(&platform));
    is_foreign.then(|| {
        format!(
            "this machine runs no programs for {platform}: an emulator for them can be registered with the kernel's binfmt_misc\n"
        )
    })
}

fn request(job: &Job<'_>, exec: &Exec) -> CreateRequest {
    let environment = exec.environment.iter().chain(&exec.hidden_environment).cloned().collect();
    let volumes = exec.volumes.iter().map(|path| (path.clone(), api::Empty::default())).collect();
    let config = Config {
        env: Some(environment),
        cmd: Some(exec.arguments.clone()),
        user: exec.user.clone(),
        working_dir: exec.working_directory.clone(),
        volumes: Some(volumes),
        hostname: job.request.hostname.clone().unwrap_or_default(),
        ..Config::default()
    };
    let mut host_config = HostConfig {
        log_config: LogConfig { driver: "none".to_owned(), config: None },
        ..job.request.host_config.clone()
    };
    host_config.network_mode = exec.network.clone();
    if exec.insecure {
        host_config.privileged = true;
    }
    CreateRequest { config, host_config, ..CreateRequest::default() }
}

pub(super) fn create_container(job: &Job<'_>, request: CreateRequest, image: Image) -> Result<ContainerId> {
    let parameters = CreateParameters { name: None, platform: None, request, version: api::version::MAX };
    let created = create::create_step(job.inner, parameters, image)?;
    created.id.parse().map_err(|_| Error::internal("a new container has no id"))
}

/// Starts it, passes its output on, waits for its end.
///
/// `hint` is said when the kernel does not know what the program is.
fn watch(
    job: &Job<'_>,
    vertex: VertexId,
    step: &Step<'_>,
    hint: Option<String>,
) -> std::result::Result<i32, BuildError> {
    let inner = job.inner;
    let container = inner.find(step.id.as_str())?;
    let (ours, theirs) = socket_pair()?;
    let live = inner.live(&step.id);
    let attach = Attach {
        key: live.next_key(),
        target: Target::Init,
        stdin: false,
        stdout: true,
        stderr: true,
        framed: true,
        detach_keys: Vec::new(),
        early_input: Vec::new(),
    };
    live.keep_for_start(WaitingClient { attach, socket: theirs });
    let waiter = container.wait(WaitCondition::NextExit);
    if let Some(error) = job.began(&step.id) {
        return Err(error);
    }
    {
        let _operation = container.operate();
        start::start(inner, &container, start::Cause::User)?;
    }
    if job.stopped().is_some() {
        // It came while the container was starting.
        job.kill(&step.id);
    }
    let mut output = File::from(ours);
    let mut hint = hint;
    let read = transport::framing::read_frames(&mut output, |channel, bytes| {
        job.observer.output(vertex, channel == Channel::Stderr, bytes);
        if let Some(text) = hint.take_if(|_| says_format_error(bytes)) {
            job.observer.output(vertex, true, text.as_bytes());
        }
        Ok(())
    });
    if let Err(error) = read {
        eprintln!("container {}: reading a build step's output: {error}", step.id);
    }
    Ok(waiter.wait().exit_code)
}

fn says_format_error(bytes: &[u8]) -> bool {
    const WORDS: &[u8] = b"exec format error";
    bytes.windows(WORDS.len()).any(|window| window == WORDS)
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing(|| "making a socket for a build's step".to_owned())
}

/// Makes what a mount needs; the target if it has to be there in the root.
fn prepare(
    job: &Job<'_>,
    mount: &builder::operation::Mount,
    inputs: &[State],
    scratch: &mut Scratch,
    request: &mut CreateRequest,
    locks: &mut Vec<caches::Lock>,
) -> std::result::Result<Option<String>, BuildError> {
    let mounts = request.host_config.mounts.get_or_insert_default();
    let target = mount.target.clone();
    let bind = |source: &Path, read_only: bool| Mount {
        kind: "bind".to_owned(),
        source: source.to_string_lossy().into_owned(),
        target: target.clone(),
        read_only,
        ..Mount::default()
    };
    match &mount.kind {
        MountKind::Bind { selection, writable } => {
            let folder = scratch.next(false);
            let source = job.materialise(selection, inputs, &folder, *writable)?;
            mounts.push(bind(&source, !writable));
        }
        MountKind::Cache { id, from, options } => {
            let place = job.inner.build.caches.open(&job.inner.layout, id, options)?;
            if let Some(selection) = from.as_ref().filter(|_| place.is_new()) {
                job.fill(selection, inputs, place.path())?;
            }
            mounts.push(bind(place.path(), options.read_only));
            locks.push(place);
        }
        MountKind::Tmpfs { size } => mounts.push(memory(&target, *size)),
        MountKind::Secret(secret) => {
            let Some(value) = secret_value(job, secret)? else { return Ok(None) };
            if let Some(name) = &secret.variable {
                let value = String::from_utf8_lossy(&value).into_owned();
                request.config.env.get_or_insert_default().push(format!("{name}={value}"));
            }
            if target.is_empty() {
                return Ok(None);
            }
            let path = scratch.next(true);
            write_private(&path, &value, secret)?;
            mounts.push(bind(&path, true));
        }
        MountKind::Ssh(secret) => {
            let path = scratch.next(true);
            let agent = agent(job, secret, &path)?;
            // As with BuildKit, the variable is there even when the agent is not.
            let name = secret.variable.as_deref().unwrap_or("SSH_AUTH_SOCK");
            request.config.env.get_or_insert_default().push(format!("{name}={target}"));
            let Some(agent) = agent else { return Ok(None) };
            locks.push(agent);
            mounts.push(bind(&path, false));
        }
    }
    Ok(Some(target))
}

fn memory(target: &str, size: Option<u64>) -> Mount {
    let options = TmpfsOptions {
        size_bytes: size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)).unwrap_or_default(),
        mode: 0o1777,
        ..TmpfsOptions::default()
    };
    Mount {
        kind: "tmpfs".to_owned(),
        target: target.to_owned(),
        tmpfs_options: Some(options),
        ..Mount::default()
    }
}

/// The client's agent of keys, at a socket.
fn agent(job: &Job<'_>, secret: &Secret, path: &Path) -> Result<Option<caches::Lock>> {
    match job.request.client.agent(&secret.id, path)? {
        Some(agent) => Ok(Some(caches::Lock::of(agent))),
        None if secret.required => Err(Error::not_found(format!("unset ssh forward key {}", secret.id))),
        None => Ok(None),
    }
}

fn secret_value(job: &Job<'_>, secret: &Secret) -> Result<Option<Vec<u8>>> {
    let value = job.request.client.secret(&secret.id)?;
    match value {
        None if secret.required => Err(Error::not_found(format!("secret {}: not found", secret.id))),
        Some(value) if value.len() > LARGEST_SECRET => {
            Err(Error::invalid(format!("secret {} is larger than {LARGEST_SECRET} bytes", secret.id)))
        }
        value => Ok(value),
    }
}

fn write_private(path: &Path, value: &[u8], secret: &Secret) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let doing = || "writing a secret".to_owned();
    std::fs::write(path, value).doing(doing)?;
    std::os::unix::fs::chown(path, Some(secret.uid), Some(secret.gid)).doing(doing)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(secret.mode & 0o7777)).doing(doing)
}

/// Of each target the parts that are not there yet, the deepest first.
fn missing(job: &Job<'_>, root: &State, targets: &[String]) -> Result<Vec<PathBuf>> {
    let view = job.view(root)?;
    let mut missing = Vec::new();
    for target in targets {
        let mut path = super::tree::resolve(&view, Path::new(target))?;
        while !path.as_os_str().is_empty() && view.stat_link(&path).is_err() {
            missing.push(path.clone());
            path.pop();
        }
    }
    Ok(missing)
}

/// Removes what was only made to mount something on, if it is still as it was made.
fn take_stubs(job: &Job<'_>, id: &ContainerId, stubs: &[PathBuf]) {
    if stubs.is_empty() {
        return;
    }
    let Ok(stack) = job.inner.storage.snapshots.stack(id.as_str()) else { return };
    let Some((upper, _)) = stack.upper else { return };
    let Ok(root) = linux::root::RootDir::open(&upper) else { return };
    for stub in stubs {
        let empty_file =
            root.stat_link(stub).is_ok_and(|stat| linux::root::is_regular(&stat) && stat.st_size == 0);
        // What is not empty stays: somebody wrote to it.
        let _ = if empty_file { root.unlink(stub) } else { root.remove_dir(stub) };
    }
}

impl Job<'_> {
    /// The layers a container of a step stands on.
    pub(super) fn image(&self, root: &State) -> Result<Image> {
        self.unpack(root)?;
        Ok(Image {
            id: String::new(),
            manifest: oci::image::Descriptor::of(oci::image::media::OCI_MANIFEST, b""),
            platform: self.request.options.platform.clone(),
            defaults: crate::container::merge::ImageDefaults::default(),
            diff_ids: root.iter().map(|layer| layer.diff_id.clone()).collect(),
        })
    }
}
