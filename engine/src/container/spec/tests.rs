//! Specifications against golden files.

use super::*;
use crate::container::settings::{IpcMode, NetworkMode, PidMode, Ulimit};

fn record() -> ContainerRecord {
    let id = "a".repeat(64).parse().unwrap();
    let config = container::Config {
        hostname: "aaaaaaaaaaaa".to_owned(),
        env: vec!["A=1".to_owned()],
        ..container::Config::default()
    };
    let mut record = ContainerRecord::new(id, "web".to_owned(), config);
    record.path = "sleep".to_owned();
    record.args = vec!["1".to_owned()];
    record
}

fn settings() -> Settings {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    Settings {
        cgroupns_host: true,
        shm_size: 64 << 20,
        masked_paths: owned(&crate::container::settings::MASKED_PATHS),
        readonly_paths: owned(&crate::container::settings::READONLY_PATHS),
        ..Settings::default()
    }
}

fn facts() -> Facts {
    Facts {
        cgroups_path: "/docker/a".to_owned(),
        host_capabilities: crate::container::capability::ALL.to_vec(),
        files: Files {
            hosts: Some(PathBuf::from("/c/hosts")),
            hostname: Some(PathBuf::from("/c/hostname")),
            resolv_conf: Some(PathBuf::from("/c/resolv.conf")),
            shared_memory: None,
        },
        root: PathBuf::from("/"),
        ..Facts::default()
    }
}

fn made(record: &ContainerRecord, settings: &Settings, facts: &Facts) -> Spec {
    let user = ResolvedUser { groups: vec![0], home: Some("/root".to_owned()), ..ResolvedUser::default() };
    generate(&Input { record, settings, user: &user, facts }).unwrap()
}

/// What Docker 26 gives runc for the same container, but for the hook, the duplicate device rules and HOME.
#[test]
fn a_plain_container_has_docker_s_specification() {
    let made = serde_json::to_string_pretty(&made(&record(), &settings(), &facts())).unwrap();
    let golden = include_str!("golden/plain.json");
    assert_eq!(made.trim(), golden.trim());
}

#[test]
fn privileges_open_what_is_closed() {
    let settings =
        Settings { privileged: true, masked_paths: Vec::new(), readonly_paths: Vec::new(), ..settings() };
    let facts = Facts { devices: ResolvedDevices { all: true, ..ResolvedDevices::default() }, ..facts() };
    let made = made(&record(), &settings, &facts);
    let linux = made.linux.unwrap();
    assert!(linux.masked_paths.is_empty() && linux.readonly_paths.is_empty());
    assert_eq!(linux.resources.unwrap().devices.len(), 1);
    let sys = made.mounts.iter().find(|mount| mount.destination == "/sys").unwrap();
    assert!(sys.options.contains(&"rw".to_owned()));
    assert_eq!(made.process.unwrap().capabilities.unwrap().bounding.len(), 41);
}

#[test]
fn modes_choose_namespaces() {
    let kinds = |settings: &Settings| -> Vec<String> {
        let made = made(&record(), settings, &facts()).linux.unwrap();
        made.namespaces.iter().map(|namespace| format!("{:?}", namespace.kind)).collect()
    };
    assert_eq!(kinds(&settings()), ["Mount", "Network", "Uts", "Pid", "Ipc"]);
    let host = Settings {
        network: NetworkMode::Host,
        ipc: IpcMode::Host,
        pid: PidMode::Host,
        uts_host: true,
        cgroupns_host: false,
        ..settings()
    };
    assert_eq!(kinds(&host), ["Mount", "Cgroup"]);
}

#[test]
fn mounts_of_the_user_replace_docker_s_and_outer_ones_come_first() {
    let mut record = record();
    let bind = |destination: &str| container::MountPoint {
        kind: "bind".to_owned(),
        source: "/s".to_owned(),
        destination: destination.to_owned(),
        options: vec!["rbind".to_owned(), "rprivate".to_owned()],
        writable: true,
        ..container::MountPoint::default()
    };
    record.mounts = vec![bind("/etc/deep/er"), bind("/etc"), bind("/dev/shm"), bind("/etc/hosts")];
    let made = made(&record, &settings(), &facts());
    let order: Vec<&str> = made.mounts.iter().skip(6).map(|mount| mount.destination.as_str()).collect();
    assert_eq!(
        order,
        ["/etc", "/dev/shm", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/deep/er"]
    );
}

#[test]
fn wrong_limits_are_refused_in_docker_s_words() {
    let (record, settings) = (record(), settings());
    let facts = Facts { ulimits: vec![Ulimit { name: "bogus".to_owned(), soft: 1, hard: 1 }], ..facts() };
    let user = ResolvedUser::default();
    let error =
        generate(&Input { record: &record, settings: &settings, user: &user, facts: &facts }).unwrap_err();
    assert!(error.message().ends_with("runc create failed: wrong rlimit value: RLIMIT_BOGUS: unknown"));
}
