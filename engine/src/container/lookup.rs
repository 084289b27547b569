//! What a specification needs from the machine and from other containers, looked up just before the start.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::container::{Container, ContainerRecord};
use linux::root::RootDir;
use oci::runtime::DeviceCgroup;

use super::capability;
use super::settings::{Device, IpcMode, Limits, PidMode, Settings};
use super::spec::{BlkioNumbers, DeviceNode, Facts, Joined, ResolvedDevices, VolumeSource};
use super::user::{self, ResolvedUser};
use crate::engine::Inner;
use crate::{Error, Result};

/// Most bytes of a container's passwd or group file that are read.
const LARGEST_USER_FILE: u64 = 4 << 20;

/// Everything but files and networks.
pub(crate) fn facts(inner: &Inner, record: &ContainerRecord, settings: &Settings) -> Result<Facts> {
    let config = inner.config();
    let options = super::security::parse(&settings.security_opt)?;
    Ok(Facts {
        cgroup_v2: inner.machine.cgroup_v2,
        time_namespace: false,
        cgroups_path: cgroups_path(inner, settings, record.id.as_str()),
        host_capabilities: host_capabilities(),
        devices: devices(settings)?,
        joined: joined(inner, settings)?,
        apparmor_profile: record.apparmor_profile.clone(),
        no_new_privileges: options.no_new_privileges.unwrap_or(config.no_new_privileges),
        writable_cgroups: options.writable_cgroups.unwrap_or(false),
        ulimits: settings.ulimits.clone(),
        thermal_paths: thermal_paths(),
        root: PathBuf::from("/"),
        id_mappings: super::user_namespace::mappings(&config, settings),
        ..Facts::default()
    })
}

/// Where a container's cgroup is.
pub(crate) fn cgroups_path(inner: &Inner, settings: &Settings, id: &str) -> String {
    let config = inner.config();
    let parent = match settings.cgroup_parent.as_str() {
        "" => cgroup_parent(&config),
        own => own,
    };
    // Cleaned as an absolute path, so that no text leads out of the hierarchy.
    model::path::clean(&format!("/{parent}/{id}"))
}

/// The cgroup that containers are in which name none.
pub(crate) fn cgroup_parent(config: &crate::Config) -> &str {
    if config.cgroup_parent.is_empty() { "/docker" } else { &config.cgroup_parent }
}

/// What the engine itself may do is the most a container gets.
pub(crate) fn host_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = bounding.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(u64::MAX);
    capability::ALL
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect()
}

fn thermal_paths() -> Vec<String> {
    let entries = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.is_dir())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    paths.sort();
    paths
}

fn devices(settings: &Settings) -> Result<ResolvedDevices> {
    let mut resolved = ResolvedDevices {
        all: settings.privileged,
        blkio: block_numbers(&settings.limits)?,
        ..ResolvedDevices::default()
    };
    if settings.privileged {
        collect_nodes(Path::new("/dev"), "/dev", "rwm", &mut resolved.nodes);
        return Ok(resolved);
    }
    for device in &settings.devices {
        add_device(device, &mut resolved.nodes)?;
    }
    for rule in &settings.device_rules {
        resolved.rules.push(device_rule(rule)?);
    }
    Ok(resolved)
}

fn add_device(device: &Device, nodes: &mut Vec<DeviceNode>) -> Result<()> {
    let permissions = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
    let failed = |error: &dyn std::fmt::Display| {
        Error::internal(format!(
            "error gathering device information while adding custom device \"{}\": {error}",
            device.host_path
        ))
    };
    let metadata = fs::metadata(&device.host_path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(&"no such file or directory"),
        _ => failed(&error),
    })?;
    if metadata.is_dir() {
        let before = nodes.len();
        collect_nodes(Path::new(&device.host_path), &device.container_path, permissions, nodes);
        return if nodes.len() > before { Ok(()) } else { Err(failed(&"not a device node")) };
    }
    match node(&metadata, device.container_path.clone(), permissions) {
        Some(node) => nodes.push(node),
        None => return Err(failed(&"not a device node")),
    }
    Ok(())
}

fn node(metadata: &fs::Metadata, path: String, permissions: &str) -> Option<DeviceNode> {
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    let device = metadata.rdev();
    Some(DeviceNode {
        path,
        kind,
        major: i64::from(rustix::fs::major(device)),
        minor: i64::from(rustix::fs::minor(device)),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        permissions: permissions.to_owned(),
    })
}

/// Every device below a folder; links, terminals and shared memory are the container's own.
fn collect_nodes(folder: &Path, inside: &str, permissions: &str, nodes: &mut Vec<DeviceNode>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(kind) = entry.file_type() else { continue };
        let path = format!("{inside}/{name}");
        if kind.is_dir() {
            if !matches!(name.as_str(), "pts" | "shm" | "fd" | "mqueue" | ".lxc" | ".lxd-mounts" | ".udev") {
                collect_nodes(&entry.path(), &path, permissions, nodes);
            }
        } else if name != "console"
            && let Ok(metadata) = entry.metadata()
            && let Some(node) = node(&metadata, path, permissions)
        {
            nodes.push(node);
        }
    }
}

/// `c 10:200 rwm`
fn device_rule(text: &str) -> Result<DeviceCgroup> {
    let bad = || Error::internal(format!("invalid device cgroup rule format: '{text}'"));
    let words: Vec<&str> = text.split(' ').collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words.as_slice() else { return Err(bad()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
    let number = |part: &str| match part {
        "*" => Ok(None),
        part => part.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| bad()),
    };
    if access.is_empty() || access.len() > 3 || access.chars().any(|letter| !"rwm".contains(letter)) {
        return Err(bad());
    }
    Ok(DeviceCgroup {
        allow: true,
        kind: (*kind).to_owned(),
        major: number(major)?,
        minor: number(minor)?,
        access: (*access).to_owned(),
    })
}

fn block_numbers(limits: &Limits) -> Result<BlkioNumbers> {
    let number = |path: &str| -> Result<(i64, i64)> {
        let device = fs::metadata(path)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::internal(format!("stat {path}: no such file or directory"))
                }
                _ => Error::caused(format!("stat {path}"), error),
            })?
            .rdev();
        Ok((i64::from(rustix::fs::major(device)), i64::from(rustix::fs::minor(device))))
    };
    let rates = |list: &[(String, u64)]| -> Result<Vec<(i64, i64, u64)>> {
        list.iter().map(|(path, rate)| number(path).map(|(major, minor)| (major, minor, *rate))).collect()
    };
    Ok(BlkioNumbers {
        weights: limits
            .blkio_weight_device
            .iter()
            .map(|(path, weight)| number(path).map(|(major, minor)| (major, minor, *weight)))
            .collect::<Result<_>>()?,
        read_bps: rates(&limits.blkio_read_bps)?,
        write_bps: rates(&limits.blkio_write_bps)?,
        read_iops: rates(&limits.blkio_read_iops)?,
        write_iops: rates(&limits.blkio_write_iops)?,
    })
}

/// A running container that another one joins.
pub(crate) fn donor(inner: &Inner, reference: &str, what: &str) -> Result<Arc<Container>> {
    let donor = inner.find(reference)?;
    let record = donor.record();
    match record.lifecycle.state {
        ::container::State::Restarting => Err(Error::conflict(format!(
            "container {reference} is restarting, wait until the container is running"
        ))),
        ref state if state.has_process() => Ok(donor),
        _ if what == "network" => {
            Err(Error::conflict(format!("cannot join network of a non running container: {}", record.id)))
        }
        _ => Err(Error::conflict(format!("cannot join {what} of a non running container: {}", record.id))),
    }
}

fn joined(inner: &Inner, settings: &Settings) -> Result<Joined> {
    let mut joined = Joined::default();
    let path = |pid: i32, name: &str| format!("/proc/{pid}/ns/{name}");
    if let IpcMode::Container(id) = &settings.ipc {
        let donor = donor(inner, id, "IPC")?;
        let record = donor.record();
        let shareable =
            matches!(super::create_record::settings_of(&record)?.ipc, IpcMode::Shareable | IpcMode::Host);
        if !shareable {
            return Err(Error::invalid(format!(
                "failed to join IPC namespace: container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                record.id
            )));
        }
        joined.ipc = Some(path(record.lifecycle.state.pid(), "ipc"));
    }
    if let PidMode::Container(id) = &settings.pid {
        let donor = donor(inner, id, "PID namespace")?;
        joined.pid = Some(path(donor.record().lifecycle.state.pid(), "pid"));
    }
    Ok(joined)
}

/// `/dev/shm` where it is not the container's own: the host's, or that of the container whose memory it joins.
pub(crate) fn shared_memory(inner: &Inner, settings: &Settings) -> Option<PathBuf> {
    match &settings.ipc {
        IpcMode::Host => Some(PathBuf::from("/dev/shm")),
        IpcMode::Container(donor) => {
            let donor = inner.find(donor).ok()?.record();
            let own = shared_memory(inner, &super::create_record::settings_of(&donor).ok()?);
            let pid = donor.lifecycle.state.pid();
            // A mount of another process's namespace, which the runtime fetches from there.
            own.or_else(|| Some(PathBuf::from(format!("/proc/{pid}/root/dev/shm"))))
        }
        IpcMode::Shareable | IpcMode::Private | IpcMode::None => None,
    }
}

/// What volumes mount that are not simply their folder, by destination.
///
/// # Errors
/// When a volume is gone, or a part of one does not exist.
pub(crate) fn volume_sources(
    inner: &Inner,
    record: &ContainerRecord,
) -> Result<BTreeMap<String, VolumeSource>> {
    let mut sources = BTreeMap::new();
    for mount in record.mounts.iter().filter(|mount| mount.kind == "volume") {
        let source = inner.storage.volumes.source(&mount.name).map_err(Error::from_kinded)?;
        let found = match source {
            volume::Source::Directory(folder) if mount.subpath.is_empty() => {
                let path = folder.to_string_lossy().into_owned();
                if path == mount.source {
                    continue;
                }
                VolumeSource::Path(path)
            }
            volume::Source::Directory(folder) => VolumeSource::Path(part_of_volume(&folder, &mount.subpath)?),
            volume::Source::Mount { kind, device, options } => {
                let options: Vec<String> =
                    options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
                let is_bind = options.iter().any(|option| option == "bind" || option == "rbind");
                if is_bind && fs::metadata(&device).is_err() {
                    let point = &mount.source;
                    return Err(Error::internal(format!(
                        "error while mounting volume '{point}': failed to mount local volume: mount {device}:{point}, \
                         flags: 0x1000: no such file or directory"
                    )));
                }
                let kind = if is_bind { "bind".to_owned() } else { kind };
                VolumeSource::FileSystem { kind, device, options }
            }
        };
        sources.insert(mount.destination.clone(), found);
    }
    Ok(sources)
}

/// The host's path of a part of a volume: resolved inside the volume only, whatever links the container put there.
fn part_of_volume(folder: &Path, part: &str) -> Result<String> {
    let failed = |error: std::io::Error| {
        Error::internal(format!("failed to mount subpath \"{part}\" of volume: {error}"))
    };
    let root = RootDir::open(folder).map_err(|error| failed(error.into()))?;
    let found = root.resolve(part).map_err(|error| failed(error.into()))?;
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    fs::read_link(link).map(|path| path.to_string_lossy().into_owned()).map_err(failed)
}

/// Who the process of a container that is being started is.
pub(crate) fn resolve_user_in_layers(
    inner: &Inner,
    record: &ContainerRecord,
    groups: &[String],
) -> Result<ResolvedUser> {
    match inner.storage.read_etc(&record.snapshot, ["passwd", "group"], LARGEST_USER_FILE) {
        Some([passwd, group]) => user::resolve(&record.config.user, groups, &passwd, &group),
        None => resolve_user(&record.config.user, groups, &|| inner.storage.open_root(&record.snapshot)),
    }
}

/// Who the process is, with the container's own files read through `root` when there is need.
pub(crate) fn resolve_user(
    text: &str,
    groups: &[String],
    root: &dyn Fn() -> Result<RootDir>,
) -> Result<ResolvedUser> {
    let root = root()?;
    let passwd = read_user_file(&root, "etc/passwd");
    let group = read_user_file(&root, "etc/group");
    user::resolve(text, groups, &passwd, &group)
}

/// The file's bytes; nothing when it is missing, no regular file, or larger than any honest one.
fn read_user_file(root: &RootDir, path: &str) -> Vec<u8> {
    let Ok(file) = root.open_regular(path) else { return Vec::new() };
    read_capped(file).unwrap_or_default()
}

fn read_capped(file: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::from(file).take(LARGEST_USER_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
