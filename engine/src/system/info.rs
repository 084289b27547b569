//! `GET /info`.

use std::collections::BTreeMap;
use std::fs;

use ::container::State;
use api::system::{
    AddressPool, Commit, Firewall, IndexInfo, Info, Plugins, RegistryConfig, Runtime, SwarmInfo,
};
use model::Timestamp;

use super::{host_name, version};
use crate::config::SeccompDefault;
use crate::engine::Inner;

const HUB: &str = "https://index.docker.io/v1/";

pub(super) fn info(inner: &Inner) -> Info {
    let config = inner.config();
    let [running, paused, stopped] = counts(inner);
    let wanted_warnings = warnings(inner);
    Info {
        id: inner.id.clone(),
        containers: running + paused + stopped,
        containers_running: running,
        containers_paused: paused,
        containers_stopped: stopped,
        images: inner.storage.image_count(),
        driver: inner.storage.snapshots.driver_name().to_owned(),
        driver_status: driver_status(inner),
        plugins: plugins(),
        debug: config.debug,
        n_fd: count_entries("/proc/self/fd"),
        oom_kill_disable: inner.machine.features.oom_kill_disable,
        n_goroutines: count_entries("/proc/self/task"),
        system_time: Timestamp::now().to_string(),
        logging_driver: config.log.driver.clone(),
        cgroup_driver: config.cgroup_driver.clone(),
        cgroup_version: if inner.machine.cgroup_v2 { "2" } else { "1" }.to_owned(),
        n_events_listener: i64::try_from(inner.events.listeners()).unwrap_or(0),
        index_server_address: HUB.to_owned(),
        registry_config: Some(registry_config(inner)),
        n_cpu: i64::from(inner.machine.processors),
        mem_total: memory_total(),
        docker_root_dir: config.data_root.to_string_lossy().into_owned(),
        http_proxy: config.registry.http_proxy.clone(),
        https_proxy: config.registry.https_proxy.clone(),
        no_proxy: config.registry.no_proxy.clone(),
        name: config.name.clone().unwrap_or_else(host_name),
        labels: config.labels.clone(),
        experimental_build: config.experimental,
        server_version: config.version.clone(),
        runtimes: runtimes(inner),
        default_runtime: config.default_runtime.clone(),
        swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..SwarmInfo::default() },
        live_restore_enabled: config.live_restore,
        isolation: String::new(),
        init_binary: "wharf-shim".to_owned(),
        containerd_commit: commit(&config.version),
        runc_commit: commit(&config.version),
        init_commit: commit(&config.version),
        security_options: security_options(inner),
        default_address_pools: address_pools(inner),
        firewall_backend: Some(Firewall { driver: "nftables".to_owned(), info: None }),
        warnings: (!wanted_warnings.is_empty()).then_some(wanted_warnings),
        ..machine_part(inner)
    }
}

/// What the machine has and can limit.
fn machine_part(inner: &Inner) -> Info {
    let features = &inner.machine.features;
    Info {
        memory_limit: features.memory_limit,
        swap_limit: features.swap_limit,
        kernel_memory_tcp: features.kernel_memory_tcp,
        cpu_cfs_period: features.cpu_quota,
        cpu_cfs_quota: features.cpu_quota,
        cpu_shares: features.cpu_shares,
        cpu_set: features.cpuset,
        pids_limit: features.pids,
        ipv4_forwarding: flag_file("/proc/sys/net/ipv4/ip_forward"),
        bridge_nf_iptables: Some(flag_file("/proc/sys/net/bridge/bridge-nf-call-iptables")),
        bridge_nf_ip6tables: Some(flag_file("/proc/sys/net/bridge/bridge-nf-call-ip6tables")),
        kernel_version: version::kernel(),
        operating_system: os_release("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        os_version: os_release("VERSION_ID").unwrap_or_default(),
        os_type: "linux".to_owned(),
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        ..Info::default()
    }
}

fn counts(inner: &Inner) -> [i64; 3] {
    let mut counts = [0; 3];
    for container in inner.containers.list() {
        let place = match container.record().lifecycle.state {
            State::Running { .. } | State::Restarting => 0,
            State::Paused { .. } => 1,
            _ => 2,
        };
        counts[place] += 1;
    }
    counts
}

fn driver_status(inner: &Inner) -> Vec<[String; 2]> {
    let snapshots = &inner.storage.snapshots;
    if snapshots.driver_name() == "erofs" {
        let rows = [
            ("Backing Filesystem", "extfs"),
            ("Layers", "kept as they came, indexed, mounted in place"),
            ("Chosen", snapshots.driver_reason()),
        ];
        return rows.map(|(key, value)| [key.to_owned(), value.to_owned()]).to_vec();
    }
    [
        ("Backing Filesystem", "extfs"),
        ("Supports d_type", "true"),
        ("Using metacopy", "false"),
        ("Native Overlay Diff", "true"),
        ("userxattr", "false"),
    ]
    .map(|(key, value)| [key.to_owned(), value.to_owned()])
    .to_vec()
}

fn plugins() -> Plugins {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Plugins {
        volume: owned(&["local"]),
        network: owned(&["bridge", "host", "null"]),
        authorization: None,
        log: owned(&["json-file", "local"]),
    }
}

fn registry_config(inner: &Inner) -> RegistryConfig {
    let registry = &inner.config().registry;
    let hub = IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: registry.mirrors.clone(),
        secure: true,
        official: true,
    };
    let mut index_configs = BTreeMap::from([("docker.io".to_owned(), hub)]);
    let mut cidrs = vec!["127.0.0.0/8".to_owned()];
    for insecure in &registry.insecure {
        if insecure.contains('/') {
            cidrs.insert(0, insecure.clone());
        } else {
            let index = IndexInfo { name: insecure.clone(), ..IndexInfo::default() };
            index_configs.insert(insecure.clone(), index);
        }
    }
    RegistryConfig {
        insecure_registry_cidrs: cidrs,
        index_configs,
        mirrors: Some(registry.mirrors.clone()),
        ..RegistryConfig::default()
    }
}

/// What `--runtime` can really name.
fn runtimes(inner: &Inner) -> BTreeMap<String, Runtime> {
    let built_in = Runtime { path: "runc".to_owned(), ..Runtime::default() };
    let mut runtimes = BTreeMap::from([
        ("runc".to_owned(), built_in.clone()),
        ("io.containerd.runc.v2".to_owned(), built_in),
    ]);
    for (name, runtime) in inner.config().runtimes.iter().filter(|(_, runtime)| runtime.is_ours()) {
        let shown = Runtime {
            path: runtime.path.clone(),
            runtime_args: (!runtime.arguments.is_empty()).then(|| runtime.arguments.clone()),
            ..Runtime::default()
        };
        runtimes.insert(name.clone(), shown);
    }
    runtimes
}

fn commit(version: &str) -> Commit {
    Commit { id: version.to_owned(), expected: Some(version.to_owned()) }
}

fn security_options(inner: &Inner) -> Vec<String> {
    let config = inner.config();
    let mut options = Vec::new();
    match &config.seccomp_profile {
        SeccompDefault::Builtin => options.push("name=seccomp,profile=builtin".to_owned()),
        SeccompDefault::Unconfined => options.push("name=seccomp,profile=unconfined".to_owned()),
        SeccompDefault::File { path, .. } => options.push(format!("name=seccomp,profile={}", path.display())),
    }
    if inner.machine.cgroup_v2 {
        options.push("name=cgroupns".to_owned());
    }
    if config.id_ranges.is_some() {
        options.push("name=userns".to_owned());
    }
    if config.no_new_privileges {
        options.push("name=no-new-privileges".to_owned());
    }
    options
}

fn address_pools(inner: &Inner) -> Option<Vec<AddressPool>> {
    let config = inner.config();
    let pools = &config.network.address_pools;
    let shown = pools.iter().map(|pool| AddressPool { base: pool.base.clone(), size: i64::from(pool.size) });
    (!pools.is_empty()).then(|| shown.collect())
}

fn warnings(inner: &Inner) -> Vec<String> {
    let features = &inner.machine.features;
    let mut warnings = inner.networks.warnings();
    for (there, text) in [
        (features.memory_limit, "WARNING: No memory limit support"),
        (features.swap_limit, "WARNING: No swap limit support"),
        (features.cpu_quota, "WARNING: No cpu cfs quota support"),
        (features.cpu_shares, "WARNING: No cpu shares support"),
        (features.cpuset, "WARNING: No cpuset support"),
        (features.block_weight, "WARNING: No blkio weight support"),
        (features.block_weight_device, "WARNING: No blkio weight_device support"),
        (features.block_throttle, "WARNING: No blkio throttle.read_bps_device support"),
    ] {
        if !there {
            warnings.push(text.to_owned());
        }
    }
    if !flag_file("/proc/sys/net/ipv4/ip_forward") {
        warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
    }
    warnings
}

fn flag_file(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}

fn count_entries(path: &str) -> i64 {
    fs::read_dir(path).map_or(0, |entries| i64::try_from(entries.count()).unwrap_or(i64::MAX))
}

fn os_release(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))?;
    Some(value.trim_matches('"').to_owned())
}

fn memory_total() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}
