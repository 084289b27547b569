//! The container's specification: a pure value made from its record and what the host and the other components say.
//!
//! Nothing here reads or changes the machine; what has to be looked up first is in [`Facts`].

mod mounts;
mod namespaces;
mod process;
mod resources;

use std::collections::BTreeMap;
use std::path::PathBuf;

use container::ContainerRecord;
use oci::runtime::{IdMapping, Linux, Root, Spec};

pub use mounts::Files;
pub use namespaces::Joined;
pub(crate) use process::{add_home, base_environment, capability_sets, replace_or_append, rlimits};
pub use resources::{BlkioNumbers, DeviceNode, ResolvedDevices, update_resources};

use super::settings::Settings;
use super::user::ResolvedUser;

/// What a specification is made from.
#[derive(Debug)]
pub struct Input<'a> {
    /// The container.
    pub record: &'a ContainerRecord,
    /// What it was created with.
    pub settings: &'a Settings,
    /// Who its process is.
    pub user: &'a ResolvedUser,
    /// What was looked up.
    pub facts: &'a Facts,
}

/// What was looked up on the machine and in other components.
#[derive(Debug, Default)]
pub struct Facts {
    /// Whether the machine uses cgroup version 2 only.
    pub cgroup_v2: bool,
    /// Whether the kernel has time namespaces.
    pub time_namespace: bool,
    /// Cgroup path of the container.
    pub cgroups_path: String,
    /// Capabilities the engine may give.
    pub host_capabilities: Vec<&'static str>,
    /// Devices with their numbers.
    pub devices: ResolvedDevices,
    /// Namespaces of other containers.
    pub joined: Joined,
    /// `/etc/hosts` and its like.
    pub files: Files,
    /// What volumes mount that are no plain folders, by name; and folders of parts of volumes, by destination.
    pub volume_sources: BTreeMap<String, VolumeSource>,
    /// Environment that links add.
    pub link_environment: Vec<String>,
    /// AppArmor profile, empty without.
    pub apparmor_profile: String,
    /// Whether privileges may not be gained.
    pub no_new_privileges: bool,
    /// Whether the cgroup tree can be written.
    pub writable_cgroups: bool,
    /// Limits of containers that set none, merged already.
    pub ulimits: Vec<super::settings::Ulimit>,
    /// Every thermal_throttle folder below /sys/devices/system/cpu.
    pub thermal_paths: Vec<String>,
    /// The root that the record's snapshot gives.
    pub root: PathBuf,
    /// Id ranges of a remapped user namespace.
    pub id_mappings: Option<(Vec<IdMapping>, Vec<IdMapping>)>,
}

/// What is mounted for a volume instead of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// Another path of the host: a part of the volume.
    Path(String),
    /// A file system, in the words of mount(8).
    FileSystem {
        /// Its type.
        kind: String,
        /// What is mounted.
        device: String,
        /// Options.
        options: Vec<String>,
    },
}

/// Makes the specification.
///
/// # Errors
/// Docker's texts for tmpfs options and ulimits that make no sense.
pub fn generate(input: &Input<'_>) -> crate::Result<Spec> {
    let Input { record, settings, facts, .. } = input;
    let mut masked = settings.masked_paths.clone();
    if !masked.is_empty() {
        masked.extend(facts.thermal_paths.iter().cloned());
    }
    let (uid_mappings, gid_mappings) = facts.id_mappings.clone().unwrap_or_default();
    let linux = Linux {
        uid_mappings,
        gid_mappings,
        sysctl: namespaces::sysctls(input),
        resources: Some(resources::generate(settings, &facts.devices)),
        cgroups_path: facts.cgroups_path.clone(),
        namespaces: namespaces::generate(input),
        devices: facts.devices.nodes(),
        rootfs_propagation: mounts::root_propagation(record),
        masked_paths: masked,
        readonly_paths: settings.readonly_paths.clone(),
        mount_label: record.mount_label.clone(),
        ..Linux::default()
    };
    Ok(Spec {
        oci_version: oci::runtime::VERSION.to_owned(),
        process: Some(process::generate(input)?),
        root: Some(Root {
            path: facts.root.to_string_lossy().into_owned(),
            readonly: settings.readonly_rootfs,
        }),
        hostname: if settings.uts_host { String::new() } else { record.config.hostname.clone() },
        domainname: if settings.uts_host { String::new() } else { record.config.domainname.clone() },
        mounts: mounts::generate(input)?,
        annotations: record.config.annotations.clone(),
        linux: Some(linux),
        ..Spec::default()
    })
}

#[cfg(test)]
mod tests;
