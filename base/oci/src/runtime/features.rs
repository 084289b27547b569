//! The features document: what a runtime can do.

use std::collections::BTreeMap;

use super::document;

document! {
    /// What `features` prints.
    pub struct Features {
        always {
            /// Oldest specification accepted.
            pub oci_version_min: String,
            /// Newest specification accepted.
            pub oci_version_max: String,
        }
        omit {
            /// Hook kinds.
            pub hooks: Vec<String>,
            /// Mount options.
            pub mount_options: Vec<String>,
            /// Linux features.
            pub linux: Option<LinuxFeatures>,
            /// Free metadata.
            pub annotations: BTreeMap<String, String>,
            /// Annotations that can change what the runtime does.
            pub potentially_unsafe_config_annotations: Vec<String>,
        }
    }
}

document! {
    /// Linux features.
    pub struct LinuxFeatures {
        always {}
        omit {
            /// Namespace kinds.
            pub namespaces: Vec<String>,
            /// Capability names known.
            pub capabilities: Vec<String>,
            /// cgroup support.
            pub cgroup: Option<CgroupFeature>,
            /// System call filters.
            pub seccomp: Option<SeccompFeature>,
            /// AppArmor.
            pub apparmor: Option<AppArmorFeature>,
            /// SELinux.
            pub selinux: Option<EnabledFeature>,
            /// Cache allocation.
            pub intel_rdt: Option<EnabledFeature>,
            /// Mount extensions.
            pub mount_extensions: Option<MountExtensions>,
            /// Moving network devices.
            pub net_devices: Option<EnabledFeature>,
        }
    }
}

document! {
    /// cgroup support.
    pub struct CgroupFeature {
        always {}
        omit {
            /// Version 1.
            pub v1: Option<bool>,
            /// Version 2.
            pub v2: Option<bool>,
            /// The systemd driver.
            pub systemd: Option<bool>,
            /// The systemd driver for users.
            pub systemd_user: Option<bool>,
            /// RDMA limits.
            pub rdma: Option<bool>,
        }
    }
}

document! {
    /// System call filter support.
    pub struct SeccompFeature {
        always {}
        omit {
            /// Compiled in.
            pub enabled: Option<bool>,
            /// `SCMP_ACT_...`.
            pub actions: Vec<String>,
            /// `SCMP_CMP_...`.
            pub operators: Vec<String>,
            /// `SCMP_ARCH_...`.
            pub archs: Vec<String>,
            /// Flags understood.
            pub known_flags: Vec<String>,
            /// Flags the kernel takes.
            pub supported_flags: Vec<String>,
        }
    }
}

/// AppArmor support.
pub type AppArmorFeature = EnabledFeature;

document! {
    /// A feature that is there or not.
    pub struct EnabledFeature {
        always {}
        omit {
            /// Compiled in.
            pub enabled: Option<bool>,
        }
    }
}

document! {
    /// Mount extensions.
    pub struct MountExtensions {
        always {}
        omit {
            /// Mounts with their own id mappings.
            pub idmap: Option<EnabledFeature>,
        }
    }
}
