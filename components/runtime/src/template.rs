//! The specification that `spec` writes for people to start from.

use oci::runtime::{
    Capabilities, DeviceCgroup, IdMapping, Linux, Mount, Namespace, NamespaceType, Process, Resources,
    Rlimit, Root, Spec, VERSION,
};

/// A shell in `rootfs`; for an ordinary user with a user namespace.
pub fn template(rootless: Option<(u32, u32)>) -> Spec {
    let mut spec = Spec {
        oci_version: VERSION.into(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: "wharf".into(),
        mounts: mounts(),
        linux: Some(linux()),
        ..Spec::default()
    };
    if let Some((uid, gid)) = rootless {
        give_to_user(&mut spec, uid, gid);
    }
    spec
}

fn process() -> Process {
    let names: Vec<String> =
        ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"].map(str::to_owned).into();
    Process {
        terminal: true,
        args: vec!["sh".into()],
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            "TERM=xterm".into(),
        ],
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mount(kind: &str, source: &str, destination: &str, options: &str) -> Mount {
    Mount {
        kind: kind.into(),
        source: source.into(),
        destination: destination.into(),
        options: options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect(),
        ..Mount::default()
    }
}

fn mounts() -> Vec<Mount> {
    vec![
        mount("proc", "proc", "/proc", ""),
        mount("tmpfs", "tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
        mount("devpts", "devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        mount("tmpfs", "shm", "/dev/shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
        mount("mqueue", "mqueue", "/dev/mqueue", "nosuid,noexec,nodev"),
        mount("sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,ro"),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ]
}

fn linux() -> Linux {
    let kinds = [
        NamespaceType::Pid,
        NamespaceType::Network,
        NamespaceType::Ipc,
        NamespaceType::Uts,
        NamespaceType::Mount,
        NamespaceType::Cgroup,
    ];
    let deny = DeviceCgroup { allow: false, access: "rwm".into(), ..DeviceCgroup::default() };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Linux {
        resources: Some(Resources { devices: vec![deny], ..Resources::default() }),
        namespaces: kinds.map(|kind| Namespace { kind, path: String::new() }).into(),
        masked_paths: words(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ]),
        readonly_paths: words(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
        ..Linux::default()
    }
}

fn give_to_user(spec: &mut Spec, uid: u32, gid: u32) {
    for mount in &mut spec.mounts {
        mount.options.retain(|option| !option.starts_with("gid="));
        if mount.kind == "sysfs" {
            let options = ["rbind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).into();
            *mount = Mount { kind: "none".into(), source: "/sys".into(), options, ..mount.clone() };
        }
    }
    let linux = spec.linux.get_or_insert_default();
    linux.resources = None;
    linux.namespaces.retain(|namespace| namespace.kind != NamespaceType::Network);
    linux.namespaces.push(Namespace { kind: NamespaceType::User, path: String::new() });
    linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
    linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: gid, size: 1 }];
}
