//! The mounts of a `create` request, checked.

use api::ApiVersion;
use api::container::{HostConfig, Mount};

use super::mount_request::{self, MountKind, MountRequest};
use super::validate::{Checked, refuse};
use crate::{Error, Result};

pub(super) fn check_mounts(host: &HostConfig, checked: &mut Checked, version: ApiVersion) -> Result<()> {
    for destination in host.tmpfs.iter().flatten().map(|(destination, _)| destination) {
        if model::path::clean(destination) == "/" && destination.starts_with('/') {
            return refuse("invalid specification: destination can't be '/'");
        }
        mount_request::check_absolute(destination)?;
    }
    for mount in host.mounts.iter().flatten() {
        check_option_kinds(mount, version)?;
    }
    for text in host.volumes_from.iter().flatten() {
        checked.volumes_from.push(mount_request::parse_volumes_from(text)?);
    }
    for bind in host.binds.iter().flatten() {
        checked.mounts.push(mount_request::parse_bind(bind, &host.volume_driver)?);
    }
    for mount in host.mounts.iter().flatten() {
        checked.mounts.push(mount_request_of(mount)?);
    }
    let mut taken: Vec<String> =
        host.tmpfs.iter().flatten().map(|(destination, _)| model::path::clean(destination)).collect();
    for mount in &checked.mounts {
        if taken.contains(&mount.destination) {
            return refuse(format!("Duplicate mount point: {}", mount.destination));
        }
        taken.push(mount.destination.clone());
    }
    Ok(())
}

fn check_option_kinds(mount: &Mount, version: ApiVersion) -> Result<()> {
    if version.below(42) {
        return Ok(());
    }
    for (given, kind, name) in [
        (mount.bind_options.is_some(), "bind", "BindOptions"),
        (mount.volume_options.is_some(), "volume", "VolumeOptions"),
        (mount.tmpfs_options.is_some(), "tmpfs", "TmpfsOptions"),
    ] {
        if given && mount.kind != kind {
            return refuse(format!("{name} must not be specified on mount type \"{}\"", mount.kind));
        }
    }
    Ok(())
}

/// Reads one entry of `Mounts`.
///
/// # Errors
/// `invalid mount config for type "bind": ...`.
pub fn mount_request_of(mount: &Mount) -> Result<MountRequest> {
    parse_mount(mount).map_err(|error| {
        Error::invalid(format!("invalid mount config for type \"{}\": {}", mount.kind, error.message()))
    })
}

fn parse_mount(mount: &Mount) -> Result<MountRequest> {
    let kind = match mount.kind.as_str() {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        _ => return refuse("mount type unknown"),
    };
    mount_request::check_target(&mount.target)?;
    let base = MountRequest {
        kind,
        destination: model::path::clean(&mount.target),
        writable: !mount.read_only,
        ..MountRequest::default()
    };
    match kind {
        MountKind::Bind => parse_bind_mount(mount, base),
        MountKind::Volume => parse_volume_mount(mount, base),
        MountKind::Tmpfs => parse_tmpfs_mount(mount, base),
    }
}

fn parse_bind_mount(mount: &Mount, base: MountRequest) -> Result<MountRequest> {
    if mount.source.is_empty() {
        return refuse("field Source must not be empty");
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    mount_request::check_propagation(&options.propagation)?;
    mount_request::check_absolute(&mount.source)?;
    let source = model::path::clean(&mount.source);
    if !options.create_mountpoint && std::fs::symlink_metadata(&source).is_err() {
        return refuse(format!("bind source path does not exist: {source}"));
    }
    Ok(MountRequest {
        source,
        propagation: if options.propagation.is_empty() {
            mount_request::DEFAULT_PROPAGATION.to_owned()
        } else {
            options.propagation
        },
        create_source: options.create_mountpoint,
        non_recursive: options.non_recursive,
        read_only_non_recursive: options.read_only_non_recursive,
        read_only_force_recursive: options.read_only_force_recursive,
        ..base
    })
}

fn parse_volume_mount(mount: &Mount, base: MountRequest) -> Result<MountRequest> {
    let options = mount.volume_options.clone().unwrap_or_default();
    if mount.source.is_empty() && mount.read_only {
        return refuse("must not set ReadOnly mode when using anonymous volumes");
    }
    if !options.subpath.is_empty() {
        if mount.source.is_empty() {
            return refuse("must not set Subpath when using anonymous volumes");
        }
        let clean = model::path::clean(&options.subpath);
        if options.subpath.starts_with('/') || clean == ".." || clean.starts_with("../") {
            return refuse("subpath must be a relative path within the volume");
        }
    }
    let driver = options.driver_config.unwrap_or_default();
    let name = if driver.name.is_empty() { "local".to_owned() } else { driver.name };
    Ok(MountRequest {
        name: mount.source.clone(),
        mode: if name == "local" { "z".to_owned() } else { String::new() },
        driver: name,
        anonymous: mount.source.is_empty(),
        copy: !options.no_copy,
        subpath: options.subpath,
        volume_labels: options.labels.unwrap_or_default(),
        volume_options: driver.options.unwrap_or_default(),
        ..base
    })
}

fn parse_tmpfs_mount(mount: &Mount, base: MountRequest) -> Result<MountRequest> {
    if !mount.source.is_empty() {
        return refuse("field Source must not be specified");
    }
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let mut words = Vec::new();
    if mount.read_only {
        words.push("ro".to_owned());
    }
    if options.mode != 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    if options.size_bytes != 0 {
        words.push(format!("size={}", human_size(options.size_bytes)));
    }
    for option in options.options.iter().flatten() {
        words.push(option.join("="));
    }
    Ok(MountRequest { tmpfs_options: words.join(","), ..base })
}

/// Bytes with the largest unit that divides them.
fn human_size(bytes: i64) -> String {
    [(30, "g"), (20, "m"), (10, "k")]
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes % (1 << shift) == 0)
        .map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}
