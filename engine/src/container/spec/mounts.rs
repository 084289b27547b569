//! Everything mounted below the container's root, in the order it is mounted.

use std::path::{Path, PathBuf};

use container::ContainerRecord;
use oci::runtime::Mount;

use super::{Input, VolumeSource};
use crate::container::mount_request::merge_tmpfs_options;
use crate::container::settings::IpcMode;
use crate::{Error, Result};

/// Files of the engine that are bound into the container; `None` where something else is mounted there.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// `/etc/hostname`.
    pub hostname: Option<PathBuf>,
    /// `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// `/dev/shm` of another container or of the host.
    pub shared_memory: Option<PathBuf>,
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

/// Docker's fixed mounts.
fn standard(input: &Input<'_>) -> Vec<Mount> {
    let settings = input.settings;
    let read_only = !settings.privileged;
    let access = if read_only { "ro" } else { "rw" };
    let cgroup_access = if read_only && !input.facts.writable_cgroups { "ro" } else { "rw" };
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[cgroup_access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ]
}

pub(super) fn generate(input: &Input<'_>) -> Result<Vec<Mount>> {
    let mut user_mounts = user_mounts(input)?;
    let taken = |destination: &str| user_mounts.iter().any(|mount| mount.destination == destination);
    let mut mounts: Vec<Mount> = standard(input)
        .into_iter()
        .filter(|mount| !taken(&mount.destination))
        // A folder of the user above one of Docker's own hides it, so Docker leaves its own out.
        .filter(|mount| !(mount.destination.starts_with("/dev/") && taken("/dev")))
        .collect();
    if !taken("/dev/shm") && !taken("/dev") {
        mounts.extend(shared_memory(input));
    }
    let own: Vec<Mount> = engine_files(input)
        .into_iter()
        .filter(|(destination, _)| !taken(destination))
        .map(|(destination, path)| bind_file(destination, &path))
        .collect();
    user_mounts.extend(own);
    if input.facts.id_mappings.is_some() {
        map_ids(input, &mut user_mounts);
    }
    // Outer folders first, or they would hide what is mounted inside them.
    user_mounts.sort_by_key(|mount| mount.destination.split('/').filter(|part| !part.is_empty()).count());
    mounts.extend(user_mounts);
    Ok(mounts)
}

/// Volumes and the engine's own files belong to the container's root, whoever that is outside; what the user binds is
/// shown as it is.
fn map_ids(input: &Input<'_>, mounts: &mut [Mount]) {
    let is_bound = |mount: &Mount| {
        input.record.mounts.iter().any(|point| point.kind == "bind" && point.destination == mount.destination)
    };
    // Memory of another container is mapped for that one, which has the same map.
    let is_joined = |mount: &Mount| mount.destination == "/dev/shm" && mount.source.starts_with("/proc/");
    for mount in mounts.iter_mut().filter(|mount| mount.kind == "bind") {
        if is_bound(mount) || is_joined(mount) {
            continue;
        }
        mount.options.push("idmap".to_owned());
    }
}

fn shared_memory(input: &Input<'_>) -> Option<Mount> {
    if let Some(path) = &input.facts.files.shared_memory {
        let options = ["rbind", "rprivate", "nosuid", "noexec", "nodev"];
        return Some(mount("/dev/shm", "bind", &path.to_string_lossy(), &options));
    }
    match input.settings.ipc {
        IpcMode::None => None,
        _ => {
            let size = format!("size={}", input.settings.shm_size);
            Some(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]))
        }
    }
}

fn engine_files(input: &Input<'_>) -> Vec<(&'static str, PathBuf)> {
    let files = &input.facts.files;
    [
        ("/etc/resolv.conf", &files.resolv_conf),
        ("/etc/hostname", &files.hostname),
        ("/etc/hosts", &files.hosts),
    ]
    .into_iter()
    .filter_map(|(destination, path)| path.clone().map(|path| (destination, path)))
    .collect()
}

fn bind_file(destination: &str, path: &Path) -> Mount {
    mount(destination, "bind", &path.to_string_lossy(), &["rbind", "rprivate"])
}

fn user_mounts(input: &Input<'_>) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for point in &input.record.mounts {
        mounts.push(match point.kind.as_str() {
            "tmpfs" => tmpfs(&point.destination, &point.options.join(","), point.writable)?,
            _ => bind(point, input.facts.volume_sources.get(&point.destination)),
        });
    }
    for (destination, options) in &input.settings.tmpfs {
        mounts.push(tmpfs(destination, options, true)?);
    }
    Ok(mounts)
}

/// A path of the host, or what a volume's options say.
fn bind(point: &container::MountPoint, source: Option<&VolumeSource>) -> Mount {
    let plain = Mount {
        destination: point.destination.clone(),
        kind: "bind".to_owned(),
        source: point.source.clone(),
        options: point.options.clone(),
        ..Mount::default()
    };
    match source {
        None => plain,
        Some(VolumeSource::Path(path)) => Mount { source: path.clone(), ..plain },
        Some(VolumeSource::FileSystem { kind, device, options }) => {
            let access = point.options.iter().filter(|option| *option == "ro").cloned();
            let options = options.iter().cloned().chain(access).collect();
            Mount { kind: kind.clone(), source: device.clone(), options, ..plain }
        }
    }
}

fn tmpfs(destination: &str, options: &str, writable: bool) -> Result<Mount> {
    let mut words = merge_tmpfs_options(&["noexec", "nosuid", "nodev", "rprivate"], options)
        .map_err(|word| Error::internal(format!("invalid tmpfs option \"{word}\"")))?;
    if !writable && !words.iter().any(|word| word == "ro") {
        words.push("ro".to_owned());
    }
    Ok(Mount {
        destination: destination.to_owned(),
        kind: "tmpfs".to_owned(),
        source: "tmpfs".to_owned(),
        options: words,
        ..Mount::default()
    })
}

/// `rshared` or `rslave` where a bind asks for it, so that the root lets mounts through.
pub(super) fn root_propagation(record: &ContainerRecord) -> String {
    let wanted =
        |words: [&str; 2]| record.mounts.iter().any(|point| words.contains(&point.propagation.as_str()));
    if wanted(["shared", "rshared"]) {
        "rshared".to_owned()
    } else if wanted(["slave", "rslave"]) {
        "rslave".to_owned()
    } else {
        String::new()
    }
}
