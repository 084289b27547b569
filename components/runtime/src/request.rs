//! What the callers of this library ask for.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use linux::overlay::Lower;

use oci::runtime::{NamespaceType, Process, Resources, Spec};

/// A container to make.
#[derive(Debug)]
pub struct CreateRequest {
    /// The container's id, for hooks and messages.
    pub id: String,
    /// What it is; `root.path` is only used to tell hooks and by [`RootTree::Spec`].
    pub spec: Spec,
    /// The bundle's directory: relative root paths start here and hooks are told of it.
    pub bundle: PathBuf,
    /// Its root file system.
    pub root: RootTree,
    /// Its standard streams.
    pub stdio: Stdio,
    /// A compiled system call filter that replaces `linux.seccomp` of the specification.
    pub seccomp: Option<Vec<u8>>,
    /// The control group that is made (if missing), limited and entered; none stays in the caller's.
    pub cgroup: Option<CgroupPlacement>,
    /// A program that runs as process 1 and starts the container's command as its child.
    pub init: Option<InitProgram>,
    /// Namespaces to join by descriptor; they replace those of the same kind in the specification.
    pub namespaces: Vec<(NamespaceType, OwnedFd)>,
    /// Who lets the container's command run.
    pub gate: Gate,
    /// How many descriptors after standard error the command inherits (3, 4, ...).
    pub preserve: u32,
    /// Moves the root over `/` instead of pivoting, for hosts that run from an initial ramdisk.
    pub no_pivot: bool,
    /// Stays in the caller's session keyring.
    pub no_new_keyring: bool,
    /// Its first process is killed when the calling thread ends, for callers that live as long as the container.
    pub die_with_parent: bool,
}

impl CreateRequest {
    /// A request with nothing but the necessary: root from the specification, inherited streams, a held gate.
    pub fn new(id: impl Into<String>, spec: Spec, bundle: impl Into<PathBuf>) -> Self {
        Self {
            id: id.into(),
            spec,
            bundle: bundle.into(),
            root: RootTree::Spec,
            stdio: Stdio::Inherit,
            seccomp: None,
            cgroup: None,
            init: None,
            namespaces: Vec::new(),
            gate: Gate::Held,
            preserve: 0,
            no_pivot: false,
            no_new_keyring: false,
            die_with_parent: false,
        }
    }
}

/// Where a root file system comes from.
#[derive(Debug)]
pub enum RootTree {
    /// The directory `root.path` of the specification.
    Spec,
    /// A directory.
    Directory(PathBuf),
    /// A stack of layers with a writable one on top.
    Overlay {
        /// Read-only layers, the uppermost first.
        lowers: Vec<Lower>,
        /// The writable layer.
        upper: PathBuf,
        /// Work directory on the same file system as `upper`.
        work: PathBuf,
        /// Nothing is synced; for containers that leave nothing behind.
        volatile: bool,
    },
    /// A read-only stack of layers, the uppermost first.
    OverlayView {
        /// The layers.
        lowers: Vec<Lower>,
    },
    /// A detached mount.
    Mount(OwnedFd),
}

/// Standard streams of a process.
#[derive(Debug)]
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// These descriptors; their owner becomes the process's user.
    Descriptors {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A new terminal of the container's own devpts file system; the master end is handed to the caller.
    Terminal {
        /// Rows; 0 takes the specification's console size.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// Which control group a container gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupPlacement {
    /// Path within every hierarchy, from its root; or `slice:prefix:name` as systemd's driver writes it.
    pub path: String,
    /// Limits that replace those of the specification.
    pub resources: Option<Resources>,
}

/// The small init: code of the caller's own binary, so that no file of the host is visible to the container.
#[derive(Debug)]
pub struct InitProgram {
    /// The program, best a sealed memfd; its `main` calls [`crate::init::run`].
    pub program: OwnedFd,
    /// Its name and arguments; the container's command follows them.
    pub arguments: Vec<String>,
}

/// Who lets the command of a created container run.
#[derive(Debug)]
pub enum Gate {
    /// [`crate::Created::start`]; if the caller ends before, the container does, too.
    Held,
    /// Whoever connects to this listening unix socket and sends a byte; see [`crate::gate::open`].
    Listener(OwnedFd),
}

/// A process to run in a running container.
#[derive(Debug)]
pub struct ExecRequest {
    /// A process of the container, normally process 1; its namespaces are joined.
    pub target: OwnedFd,
    /// The same process by id (to find its cgroup and namespaces).
    pub target_pid: i32,
    /// What to run.
    pub process: Process,
    /// Its standard streams.
    pub stdio: Stdio,
    /// Its compiled system call filter.
    pub seccomp: Option<Vec<u8>>,
    /// Personality number, as the container's.
    pub personality: Option<u32>,
    /// Descriptors after standard error it inherits.
    pub preserve: u32,
    /// Joins these kinds only; none joins all that differ from the caller's.
    pub namespaces: Option<Vec<NamespaceType>>,
    /// A cgroup below the target's (`--cgroup`), by path within the hierarchies; none takes the target's own.
    pub cgroup: Option<String>,
    /// Stays in the caller's session keyring.
    pub no_new_keyring: bool,
}

impl ExecRequest {
    /// A request with nothing but the necessary.
    pub fn new(target: OwnedFd, target_pid: i32, process: Process, stdio: Stdio) -> Self {
        Self {
            target,
            target_pid,
            process,
            stdio,
            seccomp: None,
            personality: None,
            preserve: 0,
            namespaces: None,
            cgroup: None,
            no_new_keyring: false,
        }
    }
}
