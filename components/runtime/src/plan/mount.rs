//! What is mounted where: sources opened and shaped by the caller, targets left to the new process.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use linux::mount::{Change, Propagation, clone_tree, clone_tree_of};
use linux::overlay::{Lower, Overlay};
use linux::{Errno, SysResult};
use oci::runtime::{IdMapping, Mount};
use rustix::fs::{CWD, FileType};

use super::cgroup::{CgroupMount, CgroupView};
use super::option::Options;
use super::text::{c_string, clean};
use crate::error::{Error, Result};
use crate::id_map::IdMaps;

/// One mount for the new process to make.
#[derive(Debug)]
pub(crate) struct MountPlan {
    /// Where, inside the root.
    pub(crate) destination: CString,
    /// What.
    pub(crate) source: Source,
    /// Attribute bits of mounts the process makes itself (trees have theirs already).
    pub(crate) attributes: u64,
    /// Propagation asked for, set after attaching.
    pub(crate) propagation: Option<(Propagation, bool)>,
}

/// What a mount shows.
#[derive(Debug)]
pub(crate) enum Source {
    /// A detached tree, shaped already.
    Tree {
        /// The tree.
        tree: OwnedFd,
        /// A directory, so that a missing target is made as one.
        directory: bool,
    },
    /// A file system made inside the container's namespaces.
    FileSystem {
        /// Its type.
        kind: CString,
        /// Its options.
        data: Vec<(CString, Option<CString>)>,
        /// It begins with a copy of what it covers.
        copy_up: bool,
        /// It shows the kernel, so nothing may be redirected: its place has to be a directory, not a link to one.
        plain_place: bool,
        /// A tmpfs without a mode takes the mode of the directory it covers.
        inherit_mode: bool,
        /// Attached instead when the kernel does not allow it (/sys without a network namespace of one's own).
        fallback: Option<OwnedFd>,
    },
    /// The control groups.
    Cgroup(CgroupView),
    /// Attributes of what is mounted there already.
    Remount {
        /// To set.
        set: u64,
        /// To clear.
        clear: u64,
    },
}

/// What mounts depend on beside themselves.
pub(crate) struct MountContext<'a> {
    /// The container has a user namespace of its own.
    pub(crate) user_namespace: bool,
    /// The container has a network namespace of its own making.
    pub(crate) new_network: bool,
    /// The container has a cgroup namespace of its own.
    pub(crate) cgroup_namespace: bool,
    /// The container's cgroup, within the hierarchies.
    pub(crate) cgroup_path: Option<&'a str>,
    /// The container's own mappings.
    pub(crate) uid_mappings: &'a [IdMapping],
    /// The same for groups.
    pub(crate) gid_mappings: &'a [IdMapping],
    /// Relative sources start here.
    pub(crate) bundle: &'a Path,
}

/// Where mounts are and what they are called in messages.
pub(crate) fn name(mount: &Mount) -> (String, String) {
    let source = if mount.source.is_empty() { mount.kind.clone() } else { mount.source.clone() };
    (source, mount.destination.clone())
}

/// Prepares all mounts, in order.
pub(crate) fn prepare(mounts: &[Mount], context: &MountContext<'_>) -> Result<Vec<MountPlan>> {
    let mut maps = IdMaps::default();
    mounts.iter().map(|mount| prepare_one(mount, context, &mut maps)).collect()
}

fn prepare_one(mount: &Mount, context: &MountContext<'_>, maps: &mut IdMaps) -> Result<MountPlan> {
    let options = Options::parse(&mount.options)?;
    let destination = clean(&mount.destination);
    if destination == "/" {
        return Err(Error::spec(format!("invalid mount destination {:?}", mount.destination)));
    }
    check_proc(mount, &destination, options.remount, context.bundle)?;
    let mut attributes = options.set | options.recursive_set;
    let source = if options.remount {
        Source::Remount { set: attributes, clear: options.clear | options.recursive_clear }
    } else if options.bind || mount.kind == "bind" {
        attributes = 0;
        prepare_bind(mount, &options, context, maps)?
    } else {
        prepare_file_system(mount, &options, context)?
    };
    let propagation = options.propagation.filter(|(kind, _)| *kind != Propagation::Private);
    Ok(MountPlan { destination: c_string(destination)?, source, attributes, propagation })
}

/// What may be mounted below /proc, as it is harmless and wanted (resource views of LXCFS, for instance).
const BELOW_PROC: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
];

/// Whether a place is below /proc and none where something may be mounted.
pub(crate) fn is_closed(destination: &str) -> bool {
    destination.strip_prefix("/proc/").is_some_and(|below| !BELOW_PROC.contains(&below))
}

/// Only the kernel answers at /proc: labels, limits and masks are told to it there.
fn check_proc(mount: &Mount, destination: &str, remount: bool, bundle: &Path) -> Result<()> {
    /// The file system's number in `statfs`.
    const PROC: u64 = 0x9fa0;
    let refused = |reason: &str| {
        let (source_path, destination) = name(mount);
        let detail = format!("{destination:?} cannot be mounted because it is {reason}");
        Err(Error::spec(format!("error mounting {source_path:?} to rootfs at {destination:?}: {detail}")))
    };
    if remount {
        return Ok(());
    }
    if is_closed(destination) {
        return refused("inside /proc");
    }
    let is_proc = || {
        rustix::fs::statfs(bundle.join(&mount.source))
            .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == PROC))
    };
    if destination == "/proc" && mount.kind != "proc" && !is_proc() {
        return refused("not of type proc");
    }
    Ok(())
}

fn prepare_bind(
    mount: &Mount,
    options: &Options,
    context: &MountContext<'_>,
    maps: &mut IdMaps,
) -> Result<Source> {
    let failed = |detail: &str| {
        let (source_path, destination) = name(mount);
        let detail = detail.to_owned();
        move |errno| Error::Mount { source_path, destination, detail, errno }
    };
    let source = context.bundle.join(&mount.source);
    let tree = match clone_tree(CWD, &source, options.recursive_bind) {
        // The kernel copies no mount out of another namespace.
        Err(Errno::INVAL) => {
            in_process(&source).map_or(Err(Errno::INVAL), |(pid, path)| clone_tree_of(pid, path))
        }
        outcome => outcome,
    };
    let tree = tree.map_err(failed(""))?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&tree).map_err(failed("stat: "))?.st_mode);
    shape(&tree, options).map_err(failed("setting attributes: "))?;
    if let Some(namespace) = id_map(mount, options, context, maps)? {
        let recursive = options.id_map == Some(true);
        let change = Change { id_map: Some(namespace.as_fd()), recursive, ..Change::default() };
        change.apply(tree.as_fd()).map_err(failed("mapping ids: "))?;
    }
    Ok(Source::Tree { tree, directory: kind == FileType::Directory })
}

/// The process and the path below its root of `/proc/<pid>/root/<path>`.
fn in_process(source: &Path) -> Option<(u32, &Path)> {
    let mut parts = source.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    let path = parts.as_path().strip_prefix("root").ok()?;
    Some((pid, path))
}

/// Attributes and privacy of a tree before anybody sees it. A copy of a shared mount would hand mounts made below it
/// back to the host, so everything is private unless sharing was asked for.
fn shape(tree: &OwnedFd, options: &Options) -> SysResult<()> {
    let sharing =
        options.propagation.is_some_and(|(kind, _)| matches!(kind, Propagation::Shared | Propagation::Slave));
    let propagation = if sharing { None } else { Some(Propagation::Private) };
    let whole = Change {
        set: options.recursive_set,
        clear: options.recursive_clear,
        propagation,
        recursive: true,
        ..Change::default()
    };
    let top = Change { set: options.set, clear: options.clear, ..Change::default() };
    for change in [whole, top] {
        if !change.is_empty() {
            change.apply(tree.as_fd())?;
        }
    }
    Ok(())
}

fn id_map<'m>(
    mount: &Mount,
    options: &Options,
    context: &MountContext<'_>,
    maps: &'m mut IdMaps,
) -> Result<Option<&'m OwnedFd>> {
    let own = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if own {
        return maps.namespace(&mount.uid_mappings, &mount.gid_mappings).map(Some);
    }
    if options.id_map.is_none() || !context.user_namespace {
        return Ok(None);
    }
    maps.namespace(context.uid_mappings, context.gid_mappings).map(Some)
}

fn prepare_file_system(mount: &Mount, options: &Options, context: &MountContext<'_>) -> Result<Source> {
    match mount.kind.as_str() {
        "cgroup" | "cgroup2" => {
            let view = if context.cgroup_namespace { None } else { context.cgroup_path };
            return CgroupMount::new(mount.kind == "cgroup2", context.cgroup_namespace, view)
                .prepare()
                .map(Source::Cgroup);
        }
        "overlay" => return prepare_overlay(mount, options),
        _ => {}
    }
    let mut data = Vec::new();
    if !mount.source.is_empty() {
        data.push((c"source".to_owned(), Some(c_string(mount.source.as_str())?)));
    }
    for (key, value) in &options.data {
        let value = value.as_ref().map(|value| c_string(value.as_str())).transpose()?;
        data.push((c_string(key.as_str())?, value));
    }
    let fallback = if mount.kind == "sysfs" && context.user_namespace && !context.new_network {
        clone_tree(CWD, c"/sys", true).ok().filter(|tree| shape(tree, options).is_ok())
    } else {
        None
    };
    let inherit_mode = mount.kind == "tmpfs" && !options.has_data("mode");
    let copy_up = mount.kind == "tmpfs" && options.copy_up;
    let plain_place = matches!(mount.kind.as_str(), "proc" | "sysfs");
    Ok(Source::FileSystem {
        kind: c_string(mount.kind.as_str())?,
        data,
        copy_up,
        plain_place,
        inherit_mode,
        fallback,
    })
}

/// Overlays are made by the caller: their layers are directories of the host.
fn prepare_overlay(mount: &Mount, options: &Options) -> Result<Source> {
    let find = |key: &str| {
        options.data.iter().find(|(known, _)| known == key).and_then(|(_, value)| value.as_deref())
    };
    let upper = match (find("upperdir"), find("workdir")) {
        (Some(upper), Some(work)) => Some((upper.into(), work.into())),
        _ => None,
    };
    let overlay = Overlay {
        lowers: split_layers(find("lowerdir").unwrap_or_default())
            .into_iter()
            .map(|layer| Lower::Directory(layer.into()))
            .collect(),
        upper,
        volatile: options.has_data("volatile"),
        attributes: options.set | options.recursive_set,
    };
    let (source_path, destination) = name(mount);
    let tree = overlay.mount().map_err(|error| Error::Mount {
        source_path,
        destination,
        detail: format!("{error}: "),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::INVAL),
    })?;
    Ok(Source::Tree { tree, directory: true })
}

/// `lowerdir=a:b`, in which `\:` is a colon of a name.
fn split_layers(list: &str) -> Vec<String> {
    let mut layers = vec![String::new()];
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        let Some(layer) = layers.last_mut() else { break };
        match character {
            '\\' => layer.extend(characters.next()),
            ':' => layers.push(String::new()),
            character => layer.push(character),
        }
    }
    layers.retain(|layer| !layer.is_empty());
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> MountContext<'static> {
        MountContext {
            user_namespace: false,
            new_network: true,
            cgroup_namespace: true,
            cgroup_path: None,
            uid_mappings: &[],
            gid_mappings: &[],
            bundle: Path::new("/"),
        }
    }

    fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
        Mount {
            kind: kind.into(),
            source: source.into(),
            destination: destination.into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..Mount::default()
        }
    }

    #[test]
    fn file_systems_keep_their_options() {
        let plan =
            prepare(&[mount("tmpfs", "tmpfs", "//dev/", &["nosuid", "mode=755"])], &context()).unwrap();
        assert_eq!(plan[0].destination.as_c_str(), c"/dev");
        assert_eq!(plan[0].attributes, linux::mount::attribute::NO_SUID);
        let Source::FileSystem { kind, data, inherit_mode, .. } = &plan[0].source else { panic!("{plan:?}") };
        assert_eq!(kind.as_c_str(), c"tmpfs");
        assert!(!inherit_mode);
        assert_eq!(data[1], (c"mode".to_owned(), Some(c"755".to_owned())));
    }

    #[test]
    fn the_root_cannot_be_covered() {
        for destination in ["/", "", "/..", "/a/.."] {
            assert!(prepare(&[mount("tmpfs", "", destination, &[])], &context()).is_err(), "{destination}");
        }
    }

    #[test]
    fn paths_in_processes_are_told_apart() {
        let tell = |path: &'static str| in_process(Path::new(path));
        assert_eq!(tell("/proc/12/root/dev/shm"), Some((12, Path::new("dev/shm"))));
        for other in
            ["/proc/self/root/dev", "/proc/12/cwd/x", "/proc/12", "/x/proc/12/root/dev", "/proc/1x/root/a"]
        {
            assert_eq!(tell(other), None, "{other}");
        }
    }

    #[test]
    fn a_missing_source_names_both_ends() {
        let error = prepare(&[mount("bind", "/nosuch", "/x", &["bind"])], &context()).unwrap_err();
        let text = "error during container init: error mounting \"/nosuch\" to rootfs at \"/x\": no such file or directory";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn layers_are_split_at_plain_colons() {
        assert_eq!(split_layers("/a:/b\\:c:/d"), ["/a", "/b:c", "/d"]);
    }
}
