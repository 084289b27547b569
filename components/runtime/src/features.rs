//! The features document: what this runtime can do on this machine.

use oci::runtime::{
    CgroupFeature, EnabledFeature, Features, LinuxFeatures, MountExtensions, SeccompFeature, VERSION,
};

use crate::plan::known_mount_options;

/// What the runtime can do.
pub fn features() -> Features {
    Features {
        oci_version_min: "1.0.0".into(),
        oci_version_max: VERSION.into(),
        hooks: words(&[
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: known_mount_options(),
        linux: Some(linux_features()),
        annotations: [("org.wharf.runtime.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        ..Features::default()
    }
}

fn linux_features() -> LinuxFeatures {
    let enabled = |enabled| EnabledFeature { enabled: Some(enabled) };
    LinuxFeatures {
        namespaces: words(&["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]),
        capabilities: linux::capability::known(),
        cgroup: Some(CgroupFeature {
            v1: Some(true),
            v2: Some(true),
            systemd: Some(false),
            systemd_user: Some(false),
            rdma: Some(true),
        }),
        seccomp: Some(seccomp_features()),
        apparmor: Some(enabled(true)),
        selinux: Some(enabled(true)),
        intel_rdt: Some(enabled(false)),
        mount_extensions: Some(MountExtensions { idmap: Some(enabled(true)) }),
        net_devices: Some(enabled(false)),
    }
}

fn seccomp_features() -> SeccompFeature {
    SeccompFeature {
        enabled: Some(true),
        actions: words(&[
            "SCMP_ACT_ALLOW",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ]),
        operators: words(&[
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_LE",
            "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
        ]),
        archs: words(&[
            "SCMP_ARCH_AARCH64",
            "SCMP_ARCH_ARM",
            "SCMP_ARCH_X32",
            "SCMP_ARCH_X86",
            "SCMP_ARCH_X86_64",
        ]),
        known_flags: words(&FILTER_FLAGS),
        supported_flags: words(&FILTER_FLAGS),
    }
}

const FILTER_FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_complete() {
        let features = features();
        assert!(features.mount_options.is_sorted());
        for option in ["ro", "rro", "rbind", "rprivate", "idmap", "nosymfollow"] {
            assert!(features.mount_options.iter().any(|known| known == option), "{option}");
        }
    }
}
