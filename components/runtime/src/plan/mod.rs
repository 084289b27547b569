//! Everything a new process will do, prepared by the caller: checked values, C strings and open descriptors.

mod cgroup;
mod device;
mod filter;
mod mount;
mod namespace;
mod option;
mod process;
mod scheduling;
mod text;

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use linux::mount::Propagation;
use linux::namespace::Namespaces;
use oci::runtime::{Linux, Spec};

pub(crate) use cgroup::{CgroupView, Hierarchy};
pub(crate) use device::{DevicePlan, LINKS};
pub(crate) use mount::{MountPlan, Source, name as mount_name};
pub(crate) use namespace::{NamespacePlan, flag as namespace_flag, host_id, map_lines};
pub(crate) use option::known as known_mount_options;
pub(crate) use process::{Extra, ProcessPlan};
pub(crate) use scheduling::{memory_policy, personality};
pub(crate) use text::{c_string, clean};

use crate::error::{Error, Result};
use crate::hook::ChildHooks;
use crate::root;

/// A container to become.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namespaces: NamespacePlan,
    /// The root mount, detached.
    pub(crate) root: OwnedFd,
    /// Where it is attached before it becomes the root: a place that hooks can find, or the old root itself.
    pub(crate) root_place: CString,
    pub(crate) root_read_only: bool,
    pub(crate) root_propagation: Option<(Propagation, bool)>,
    pub(crate) no_pivot: bool,
    pub(crate) mounts: Vec<MountPlan>,
    /// None when /dev is the host's.
    pub(crate) devices: Option<Vec<DevicePlan>>,
    pub(crate) masked: Vec<CString>,
    pub(crate) read_only: Vec<CString>,
    pub(crate) host_name: Vec<u8>,
    pub(crate) domain_name: Vec<u8>,
    /// File below /proc/sys and value.
    pub(crate) sysctls: Vec<(CString, Vec<u8>)>,
    pub(crate) cgroup_tasks: Vec<OwnedFd>,
    /// The cgroup namespace is made by the process itself once it is in its cgroup, so that its root is that cgroup.
    pub(crate) new_cgroup_namespace: bool,
    pub(crate) hooks: ChildHooks,
    /// The caller has hooks to run while the process waits.
    pub(crate) caller_hooks: bool,
    pub(crate) process: ProcessPlan,
}

/// Parts of a request that the plan is made from.
pub(crate) struct Material<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) bundle: &'a Path,
    pub(crate) root: crate::RootTree,
    pub(crate) namespaces: Vec<(oci::runtime::NamespaceType, OwnedFd)>,
    pub(crate) cgroup_path: Option<&'a str>,
    pub(crate) cgroup_tasks: Vec<OwnedFd>,
    pub(crate) no_pivot: bool,
    pub(crate) extra: Extra,
}

impl Plan {
    /// Checks the specification and opens what the host has to give.
    pub(crate) fn new(material: Material<'_>) -> Result<Self> {
        let spec = material.spec;
        let defaults = Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&defaults);
        let process =
            spec.process.as_ref().ok_or_else(|| Error::spec("process property must not be empty"))?;
        let mut namespaces = NamespacePlan::new(linux, material.namespaces)?;
        check_names(spec, &namespaces)?;
        if !linux.net_devices.is_empty() {
            return Err(Error::spec("moving network devices (linux.netDevices) is not supported"));
        }
        let new_cgroup_namespace = namespaces.new.contains(Namespaces::CGROUP);
        namespaces.new = namespaces.new.without(Namespaces::CGROUP);
        let context = mount::MountContext {
            user_namespace: namespaces.has_user(),
            new_network: namespaces.new.contains(Namespaces::NETWORK),
            cgroup_namespace: new_cgroup_namespace || namespaces.joins(Namespaces::CGROUP),
            cgroup_path: material.cgroup_path,
            uid_mappings: &linux.uid_mappings,
            gid_mappings: &linux.gid_mappings,
            bundle: material.bundle,
        };
        let mut process = ProcessPlan::new(process, material.extra)?;
        process.memory_policy = linux.memory_policy.as_ref().map(memory_policy).transpose()?;
        process.personality = linux.personality.as_ref().map(personality).transpose()?;
        let devices =
            if host_dev(spec) { None } else { Some(device::prepare(&linux.devices, namespaces.has_user())?) };
        let mounts = mount::prepare(&spec.mounts, &context)?;
        let hooks = ChildHooks::new(spec.hooks.as_ref())?;
        let caller_hooks = spec
            .hooks
            .as_ref()
            .is_some_and(|hooks| !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty());
        let (root, place) = root::open(material.root, spec, material.bundle)?;
        let wants_place = caller_hooks || !hooks.create_container.is_empty();
        Ok(Self {
            root,
            root_place: place_of(place.filter(|_| wants_place))?,
            root_read_only: spec.root.as_ref().is_some_and(|root| root.readonly),
            root_propagation: root_propagation(&linux.rootfs_propagation)?,
            no_pivot: material.no_pivot,
            mounts,
            devices,
            masked: paths(&linux.masked_paths)?,
            read_only: paths(&linux.readonly_paths)?,
            host_name: spec.hostname.clone().into_bytes(),
            domain_name: spec.domainname.clone().into_bytes(),
            sysctls: sysctls(linux, &namespaces)?,
            cgroup_tasks: material.cgroup_tasks,
            new_cgroup_namespace,
            hooks,
            caller_hooks,
            process,
            namespaces,
        })
    }
}

fn place_of(place: Option<PathBuf>) -> Result<CString> {
    use std::os::unix::ffi::OsStringExt as _;
    c_string(place.map_or(b"/".to_vec(), |place| place.into_os_string().into_vec()))
}

fn check_names(spec: &Spec, namespaces: &NamespacePlan) -> Result<()> {
    let own = namespaces.new.contains(Namespaces::UTS) || namespaces.joins(Namespaces::UTS);
    let named = !spec.hostname.is_empty() || !spec.domainname.is_empty();
    if named && !own {
        return Err(Error::spec("unable to set hostname without a private UTS namespace"));
    }
    if spec.hostname.len() > 64 || spec.domainname.len() > 64 {
        return Err(Error::spec("the host name is too long"));
    }
    Ok(())
}

/// A bind mount on /dev means that its nodes are somebody else's.
fn host_dev(spec: &Spec) -> bool {
    spec.mounts.iter().any(|mount| {
        let bind =
            mount.kind == "bind" || mount.options.iter().any(|option| option == "bind" || option == "rbind");
        bind && clean(&mount.destination) == "/dev"
    })
}

fn root_propagation(word: &str) -> Result<Option<(Propagation, bool)>> {
    if word.is_empty() {
        return Ok(None);
    }
    let found = option::propagation(word)
        .ok_or_else(|| Error::spec(format!("rootfsPropagation={word} is not supported")))?;
    Ok(Some(found).filter(|(kind, _)| *kind != Propagation::Private))
}

fn paths(paths: &[String]) -> Result<Vec<CString>> {
    paths.iter().map(|path| c_string(clean(path))).collect()
}

/// Kernel parameters by dotted or slashed name. Only those that belong to a namespace of the container's own may be
/// set; anything else would change the host.
fn sysctls(linux: &Linux, namespaces: &NamespacePlan) -> Result<Vec<(CString, Vec<u8>)>> {
    let own = |kind| namespaces.new.contains(kind) || namespaces.joins(kind);
    let mut plans = Vec::new();
    for (key, value) in &linux.sysctl {
        let allowed = match sysctl_kind(key) {
            Some(kind) => own(kind),
            None => false,
        };
        if !allowed {
            return Err(Error::spec(format!("sysctl {key:?} is not in a separate kernel namespace")));
        }
        plans.push((c_string(sysctl_path(key))?, value.clone().into_bytes()));
    }
    Ok(plans)
}

/// The kind of namespace a kernel parameter belongs to; nothing for one of the whole machine.
fn sysctl_kind(key: &str) -> Option<Namespaces> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.shm_next_id",
    ];
    let key = dotted(key);
    let plain = key.split(['.', '/']).all(|part| !part.is_empty() && part != ".." && !part.contains('\0'));
    if !plain {
        return None;
    }
    if IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
        return Some(Namespaces::IPC);
    }
    if key.starts_with("net.") {
        return Some(Namespaces::NETWORK);
    }
    let uts = key == "kernel.domainname" || key == "kernel.hostname";
    if uts { Some(Namespaces::UTS) } else { None }
}

/// The name with dots between its parts: slashes and dots change places when the first separator is a slash.
fn dotted(key: &str) -> String {
    let slashed = key.find(['.', '/']).is_some_and(|at| key[at..].starts_with('/'));
    if slashed { key.chars().map(swap).collect() } else { key.to_owned() }
}

fn sysctl_path(key: &str) -> String {
    format!("sys/{}", dotted(key).chars().map(swap).collect::<String>())
}

fn swap(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_belong_to_namespaces() {
        let cases = [
            ("net.ipv4.ip_forward", Some(Namespaces::NETWORK), "sys/net/ipv4/ip_forward"),
            (
                "net/ipv4/conf/eth0.1/forwarding",
                Some(Namespaces::NETWORK),
                "sys/net/ipv4/conf/eth0.1/forwarding",
            ),
            (
                "net.ipv4.conf.eth0/1.forwarding",
                Some(Namespaces::NETWORK),
                "sys/net/ipv4/conf/eth0.1/forwarding",
            ),
            ("kernel.shmmax", Some(Namespaces::IPC), "sys/kernel/shmmax"),
            ("fs.mqueue.msg_max", Some(Namespaces::IPC), "sys/fs/mqueue/msg_max"),
            ("kernel.hostname", Some(Namespaces::UTS), "sys/kernel/hostname"),
            ("kernel.core_pattern", None, "sys/kernel/core_pattern"),
            ("vm.swappiness", None, "sys/vm/swappiness"),
            ("net.ipv4/../../kernel.core_pattern", None, ""),
            ("net..x", None, ""),
            ("net/../kernel/core_pattern", None, ""),
            ("kernel.shmmax+kernel.core_pattern", None, ""),
        ];
        for (key, kind, path) in cases {
            assert_eq!(sysctl_kind(key), kind, "{key}");
            if !path.is_empty() {
                assert_eq!(sysctl_path(key), path, "{key}");
            }
        }
    }

    #[test]
    fn host_parameters_are_refused() {
        let linux = Linux {
            sysctl: [("kernel.core_pattern".to_owned(), "|/x".to_owned())].into(),
            ..Linux::default()
        };
        assert!(sysctls(&linux, &NamespacePlan::default()).is_err());
    }
}
