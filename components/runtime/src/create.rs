//! Making a container: everything up to just before its command is executed.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use linux::cgroup::{Cgroup, Hierarchies};
use linux::clone::Clone;
use oci::runtime::{Linux, Resources, State, Status};

use crate::birth::{Birth, Watch};
use crate::child::{Side, become_container, stage_container};
use crate::error::{Error, Result};
use crate::plan::{Extra, Material, Plan};
use crate::report;
use crate::request::{CreateRequest, Gate};
use crate::step::Step;

/// A container whose process waits for permission to execute its command. When dropped with a held gate that was
/// never opened, the process ends.
#[derive(Debug)]
pub struct Created {
    /// The process's id in the caller's pid namespace.
    pub pid: i32,
    /// A handle of it; it is a child of the caller, which reaps it.
    pub pidfd: OwnedFd,
    /// The master end of its terminal, if it has one.
    pub pty_master: Option<OwnedFd>,
    /// Its root mount: keeps the file system alive after the container's end, and resolves paths in it.
    pub root: OwnedFd,
    /// Its control group, if one was asked for. The caller removes it at the end.
    pub cgroup: Option<Cgroup>,
    channel: OwnedFd,
}

impl Created {
    /// Lets the command run, and waits until it does. A command that turns out not to be executable only now (a
    /// foreign binary, a missing interpreter) says so on its standard error and ends with 255, as with runc.
    pub fn start(&mut self) -> Result<()> {
        report::proceed(&self.channel).map_err(Error::system(Step::Channel, ""))?;
        crate::gate::started(&self.channel)
    }
}

/// How long the kernel may take to let go of the cgroup of a container that failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes a container. On failure nothing of it is left.
///
/// When the caller has more than one thread this is still sound: the new process allocates nothing.
pub fn create(request: CreateRequest) -> Result<Created> {
    let mut request = request;
    let cgroup = place(&request)?;
    let result = create_in(&mut request, cgroup.as_ref());
    match result {
        Ok(born) => Ok(Created {
            pid: born.pid,
            pidfd: born.pidfd,
            pty_master: born.terminal,
            root: born.root,
            channel: born.channel,
            cgroup,
        }),
        Err(error) => {
            if let Some(cgroup) = cgroup {
                let _ = cgroup.remove(PATIENCE);
            }
            Err(error)
        }
    }
}

/// Makes and limits the control group.
fn place(request: &CreateRequest) -> Result<Option<Cgroup>> {
    let Some(placement) = &request.cgroup else { return Ok(None) };
    let path = crate::cgroup::path(&placement.path);
    let cgroup = Hierarchies::of_this_process()?.create(&path)?;
    let of_spec = request.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let none = Resources::default();
    let resources = placement.resources.as_ref().or(of_spec).unwrap_or(&none);
    if let Err(error) = cgroup.apply(&crate::cgroup::complete(resources)) {
        let _ = cgroup.remove(PATIENCE);
        return Err(error.into());
    }
    Ok(Some(cgroup))
}

struct Born {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
    root: OwnedFd,
    channel: OwnedFd,
}

fn create_in(request: &mut CreateRequest, cgroup: Option<&Cgroup>) -> Result<Born> {
    let extra = take_extra(request);
    let root = std::mem::replace(&mut request.root, crate::RootTree::Spec);
    let spec = &request.spec;
    let process = spec.process.as_ref().ok_or_else(|| Error::spec("process property must not be empty"))?;
    let mut plan = Plan::new(Material {
        spec,
        bundle: &request.bundle,
        root,
        namespaces: std::mem::take(&mut request.namespaces),
        cgroup_path: cgroup.map(Cgroup::path),
        cgroup_tasks: cgroup.map(Cgroup::tasks).transpose()?.unwrap_or_default(),
        no_pivot: request.no_pivot,
        extra,
    })?;
    crate::stream::own(&plan.process.stdio, spec, plan.process.uid);
    let (ours, theirs) = report::channel().map_err(Error::system(Step::Channel, ""))?;
    let gate = match &request.gate {
        Gate::Held => None,
        Gate::Listener(socket) => Some(socket.as_fd()),
    };
    let waits = plan.namespaces.needs_stage() || plan.namespaces.makes_user();
    let birth = deliver(&mut plan, cgroup, &Side { channel: theirs.as_fd(), gate, waits })?;
    drop(theirs);
    let watch = Watch::of_container(ours.as_fd(), &plan, (spec, process), state_of(request), waits);
    let (pid, pidfd, terminal) = watch.until_ready(birth)?;
    Ok(Born { pid, pidfd, terminal, root: plan.root, channel: ours })
}

fn take_extra(request: &mut CreateRequest) -> Extra {
    let seccomp = request.spec.linux.as_mut().and_then(|linux: &mut Linux| linux.seccomp.take());
    Extra {
        stdio: std::mem::replace(&mut request.stdio, crate::Stdio::Inherit),
        filter: request.seccomp.take(),
        seccomp,
        init: request.init.take(),
        preserve: request.preserve,
        personality: None,
        keep_keyring: request.no_new_keyring,
        die_with_parent: request.die_with_parent,
    }
}

/// Makes the process, directly or through one in between.
fn deliver(plan: &mut Plan, cgroup: Option<&Cgroup>, side: &Side<'_>) -> Result<Birth> {
    let entrance = cgroup.and_then(Cgroup::entrance);
    if plan.namespaces.needs_stage() {
        let made = Clone::default().run(|| stage_container(plan, entrance, side));
        return made.map(Birth::Staged).map_err(Error::system(Step::Clone, ""));
    }
    let clone = Clone { namespaces: plan.namespaces.new, cgroup: entrance, sibling: false };
    let made = clone.run(|| become_container(plan, side));
    made.map(Birth::Direct).map_err(Error::system(Step::Clone, ""))
}

/// The state document hooks read.
fn state_of(request: &CreateRequest) -> State {
    State {
        oci_version: request.spec.oci_version.clone(),
        id: request.id.clone(),
        status: Status::Creating,
        bundle: request.bundle.display().to_string(),
        pid: 0,
        annotations: request.spec.annotations.clone(),
    }
}
