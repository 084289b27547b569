//! Flags and file as typed settings: what the engine is told, and what the daemon itself needs.

mod registry;
mod runtime;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use engine::Config;
use engine::config::{AddressPool, SeccompDefault, StorageDriver, Ulimit};
use serde_json::Value;

use crate::arguments::Values;
use crate::defaults::Defaults;
use crate::host::Host;
use crate::log::Level;
use crate::options::OPTIONS;
use crate::remap::Accounts;

/// Everything the daemon runs by.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) engine: Config,
    pub(crate) hosts: Vec<Host>,
    pub(crate) group: Group,
    pub(crate) pidfile: PathBuf,
    pub(crate) tls: Tls,
    pub(crate) log_level: Level,
    pub(crate) log_json: bool,
    pub(crate) min_api: api::ApiVersion,
    /// Options given that mean nothing here.
    pub(crate) idle_options: Vec<&'static str>,
}

/// Who may use the socket beside root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// The usual group, if the machine has it.
    Default(String),
    /// One that was asked for, so it has to exist.
    Named(String),
}

/// How TCP clients are met.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// `None` when nothing was said.
    pub(crate) on: Option<bool>,
    /// Whether clients need a certificate; `None` when nothing was said.
    pub(crate) verify: Option<bool>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// The values with typed access.
struct Reader<'v>(&'v Values);

impl Reader<'_> {
    fn flag(&self, key: &str) -> Option<bool> {
        self.0.get(key).and_then(Value::as_bool)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Value::as_i64)
    }

    fn list(&self, key: &str) -> Vec<String> {
        let items = self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn map(&self, key: &str) -> BTreeMap<String, Value> {
        let map = self.0.get(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn address(&self, key: &str) -> Result<Option<IpAddr>, String> {
        self.text(key).map(|text| parse_address(&text)).transpose()
    }

    fn addresses(&self, key: &str) -> Result<Vec<IpAddr>, String> {
        self.list(key).iter().map(|text| parse_address(text)).collect()
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("invalid IP address: {text}"))
}

impl Settings {
    /// Checks every value and fills in the defaults.
    ///
    /// # Errors
    /// With dockerd's words where it has any.
    pub(crate) fn from_values(values: &Values, defaults: &Defaults) -> Result<Self, String> {
        let read = Reader(values);
        let level = read.text("log-level").unwrap_or_else(|| "info".to_owned());
        let log_level = Level::parse(&level).ok_or_else(|| format!("invalid logging level: {level}"))?;
        let format = read.text("log-format").unwrap_or_else(|| "text".to_owned());
        if !matches!(format.as_str(), "text" | "json") {
            return Err(format!("invalid log format: {format}"));
        }
        let debug = read.flag("debug").unwrap_or(false);
        let hosts = read.list("hosts").iter().map(|text| Host::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let path = |key, default: &Path| read.text(key).map_or_else(|| default.to_owned(), PathBuf::from);
        let group = match read.text("group") {
            Some(name) => Group::Named(name),
            None => Group::Default(defaults.group.to_owned()),
        };
        Ok(Self {
            engine: engine_config(&read, defaults, debug)?,
            hosts: if hosts.is_empty() { vec![Host::Unix(None)] } else { hosts },
            group,
            pidfile: path("pidfile", &defaults.pidfile),
            tls: Tls {
                on: read.flag("tls"),
                verify: read.flag("tlsverify"),
                ca: read.text("tlscacert").map(PathBuf::from),
                cert: read.text("tlscert").map(PathBuf::from),
                key: read.text("tlskey").map(PathBuf::from),
            },
            log_level: if debug { Level::Debug } else { log_level },
            log_json: format == "json",
            min_api: min_api(&read)?,
            idle_options: idle_options(values),
        })
    }
}

fn idle_options(values: &Values) -> Vec<&'static str> {
    OPTIONS
        .iter()
        .filter(|option| !option.used && values.contains_key(option.key))
        .map(|option| option.key)
        .collect()
}

fn min_api(read: &Reader<'_>) -> Result<api::ApiVersion, String> {
    let Some(text) = read.text("min-api-version") else { return Ok(api::version::MIN) };
    let version: api::ApiVersion =
        text.parse().map_err(|_| format!("invalid minimum API version: {text}"))?;
    if version < api::version::MIN || version > api::version::MAX {
        let (least, most) = (api::version::MIN, api::version::MAX);
        return Err(format!("minimum API version {text} is not between {least} and {most}"));
    }
    Ok(version)
}

fn engine_config(read: &Reader<'_>, defaults: &Defaults, debug: bool) -> Result<Config, String> {
    check_counts(read)?;
    let path = |key, default: &Path| read.text(key).map_or_else(|| default.to_owned(), PathBuf::from);
    let mut config = Config::new(
        path("data-root", &defaults.data_root),
        path("exec-root", &defaults.exec_root),
        defaults.shim_path.clone(),
    );
    config.debug = debug;
    config.version = env!("CARGO_PKG_VERSION").into();
    config.experimental = read.flag("experimental").unwrap_or(false);
    config.labels = read.list("labels");
    config.live_restore = read.flag("live-restore").unwrap_or(false);
    config.shutdown_timeout = number_32(read, "shutdown-timeout")?.unwrap_or(config.shutdown_timeout);
    config.default_stop_timeout =
        number_32(read, "default-stop-timeout")?.unwrap_or(config.default_stop_timeout);
    fill_network(&mut config, read, defaults)?;
    fill_containers(&mut config, read)?;
    config.build_cache = crate::build_gc::rules(&read.map("builder"), &config.data_root)?;
    config.image_budget = crate::image_gc::budget(&read.map("image-gc"))?;
    registry::fill(&mut config, read, defaults)?;
    remap(&mut config, read)?;
    Ok(config)
}

/// Remapped engines keep their data apart, as the ids on disk tell something else.
fn remap(config: &mut Config, read: &Reader<'_>) -> Result<(), String> {
    let option = read.text("userns-remap").unwrap_or_default();
    config.id_ranges = Accounts::of_machine().ranges(&option)?;
    let first = |ranges: &[engine::config::IdRange]| ranges.first().map_or(0, |range| range.first);
    if let Some(ranges) = &config.id_ranges {
        config.data_root.push(format!("{}.{}", first(&ranges.uids), first(&ranges.gids)));
    }
    Ok(())
}

fn number_32(read: &Reader<'_>, key: &str) -> Result<Option<i32>, String> {
    read.number(key)
        .map(|number| i32::try_from(number).map_err(|_| format!("invalid {key}: {number}")))
        .transpose()
}

fn check_counts(read: &Reader<'_>) -> Result<(), String> {
    for (key, words) in [
        ("max-concurrent-downloads", "max concurrent downloads"),
        ("max-concurrent-uploads", "max concurrent uploads"),
    ] {
        if let Some(number) = read.number(key).filter(|number| *number < 0) {
            return Err(format!("invalid {words}: {number}"));
        }
    }
    if let Some(number) = read.number("max-download-attempts").filter(|number| *number <= 0) {
        return Err(format!("invalid max download attempts: {number}"));
    }
    match read.number("mtu") {
        Some(number) if number < 0 => Err(format!("invalid default MTU: {number}")),
        _ => Ok(()),
    }
}

fn fill_network(config: &mut Config, read: &Reader<'_>, defaults: &Defaults) -> Result<(), String> {
    let network = &mut config.network;
    let (bridge, bip) = (read.text("bridge"), read.text("bip"));
    if bridge.is_some() && bip.is_some() {
        return Err("you specified --bip and --bridge, mutually exclusive options. please specify only one"
            .to_owned());
    }
    network.bridge = match bridge.or_else(|| read.text("bridge-name")) {
        Some(name) if name == "none" => None,
        Some(name) => Some(name),
        None => Some(defaults.bridge.to_owned()),
    };
    network.bip = bip;
    network.bip6 = read.text("bip6");
    network.fixed_cidr = read.text("fixed-cidr");
    network.fixed_cidr_v6 = read.text("fixed-cidr-v6");
    network.default_gateway = read.address("default-gateway")?;
    network.default_gateway_v6 = read.address("default-gateway-v6")?;
    if let Some(mtu) = read.number("mtu") {
        network.mtu = u32::try_from(mtu).map_err(|_| format!("invalid default MTU: {mtu}"))?;
    }
    for (key, target) in [
        ("icc", &mut network.icc),
        ("ip-masq", &mut network.ip_masq),
        ("ip-forward", &mut network.ip_forward),
        ("iptables", &mut network.iptables),
        ("ip6tables", &mut network.ip6tables),
        ("ipv6", &mut network.ipv6),
        ("userland-proxy", &mut network.userland_proxy),
    ] {
        *target = read.flag(key).unwrap_or(*target);
    }
    network.host_binding_ip = read.address("ip")?;
    network.dns = read.addresses("dns")?;
    network.dns_search = read.list("dns-search");
    network.dns_options = read.list("dns-opts");
    network.host_gateway_ips = read.addresses("host-gateway-ips")?;
    network.host_gateway_ips.extend(read.address("host-gateway-ip")?);
    if let Some(path) = read.text("resolv-conf") {
        network.resolv_conf = PathBuf::from(path);
    }
    network.address_pools = address_pools(read)?;
    Ok(())
}

fn address_pools(read: &Reader<'_>) -> Result<Vec<AddressPool>, String> {
    let pools = read.0.get("default-address-pools").and_then(Value::as_array);
    pools
        .into_iter()
        .flatten()
        .map(|pool| {
            let base = pool.get("base").and_then(Value::as_str).unwrap_or_default();
            let size = pool.get("size").and_then(Value::as_u64).unwrap_or_default();
            let prefix = base.split_once('/').and_then(|(address, prefix)| {
                address.parse::<IpAddr>().ok()?;
                prefix.parse::<u64>().ok()
            });
            let wrong = || format!("invalid address pool: base {base:?}, size {size}");
            let most = if base.contains(':') { 128 } else { 32 };
            if prefix.is_none_or(|prefix| prefix > size || size > most) {
                return Err(wrong());
            }
            Ok(AddressPool { base: base.to_owned(), size: u8::try_from(size).map_err(|_| wrong())? })
        })
        .collect()
}

fn fill_containers(config: &mut Config, read: &Reader<'_>) -> Result<(), String> {
    if let Some(driver) = read.text("log-driver") {
        config.log.driver = driver;
    }
    config.log.options = texts(read, "log-opts");
    if let Some(value) = read.0.get("default-shm-size") {
        let size = value.as_i64().or_else(|| value.as_str().and_then(|text| model::size::binary(text).ok()));
        config.default_shm_size = size.ok_or_else(|| format!("invalid size: '{value}'"))?;
    }
    if let Some(mode) = read.text("default-ipc-mode") {
        if !matches!(mode.as_str(), "private" | "shareable") {
            return Err(format!(
                "default IPC mode setting ({mode}) is invalid; use \"shareable\" or \"private\""
            ));
        }
        config.default_ipc_mode = mode;
    }
    if let Some(mode) = read.text("default-cgroupns-mode") {
        if !matches!(mode.as_str(), "private" | "host") {
            return Err(format!(
                "default cgroup namespace mode ({mode}) is invalid; use \"host\" or \"private\""
            ));
        }
        config.default_cgroupns_mode = mode;
    }
    config.init = read.flag("init").unwrap_or(false);
    config.no_new_privileges = read.flag("no-new-privileges").unwrap_or(false);
    config.cgroup_parent = read.text("cgroup-parent").unwrap_or_default();
    if let Some(runtime) = read.text("default-runtime") {
        config.default_runtime = runtime;
    }
    for option in read.list("exec-opts") {
        match option.split_once('=') {
            Some(("native.cgroupdriver", "cgroupfs")) => {}
            Some(("native.cgroupdriver", driver @ "systemd")) => config.cgroup_driver = driver.to_owned(),
            Some(("native.cgroupdriver", other)) => {
                return Err(format!("native.cgroupdriver option {other} not supported"));
            }
            _ => return Err(format!("invalid exec option: {option}")),
        }
    }
    config.default_ulimits = ulimits(read)?;
    runtime::fill(config, read)?;
    config.seccomp_profile = seccomp(read)?;
    config.storage_driver = storage_driver(read)?;
    Ok(())
}

fn texts(read: &Reader<'_>, key: &str) -> BTreeMap<String, String> {
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    read.map(key).into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn ulimits(read: &Reader<'_>) -> Result<BTreeMap<String, Ulimit>, String> {
    read.map("default-ulimits")
        .into_iter()
        .map(|(name, value)| {
            let number = |field: &str| {
                let found = value.as_object().into_iter().flatten();
                let mut found = found.filter(|(held, _)| held.eq_ignore_ascii_case(field));
                found.next().and_then(|(_, number)| number.as_i64())
            };
            let hard = number("Hard").ok_or_else(|| format!("invalid default ulimit: {name}"))?;
            Ok((name, Ulimit { soft: number("Soft").unwrap_or(hard), hard }))
        })
        .collect()
}

fn storage_driver(read: &Reader<'_>) -> Result<StorageDriver, String> {
    match read.text("storage-driver").as_deref() {
        None | Some("") => Ok(StorageDriver::Automatic),
        Some("erofs") => Ok(StorageDriver::Erofs),
        Some("overlay2") => Ok(StorageDriver::Overlay2),
        Some(other) => Err(format!("driver not supported: {other}")),
    }
}

fn seccomp(read: &Reader<'_>) -> Result<SeccompDefault, String> {
    match read.text("seccomp-profile").as_deref() {
        None | Some("builtin") => Ok(SeccompDefault::Builtin),
        Some("unconfined") => Ok(SeccompDefault::Unconfined),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("opening seccomp profile ({path}) failed: {error}"))?;
            Ok(SeccompDefault::File { path: PathBuf::from(path), text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let values = crate::file::merge(text.as_bytes(), &Values::new())?;
        Settings::from_values(&values, &Defaults::wharf(PathBuf::from("/shim")))
    }

    #[test]
    fn defaults_are_dockers_below_wharfs_paths() {
        let settings = settings("{}").unwrap();
        assert_eq!(settings.engine.data_root, Path::new("/var/lib/wharf"));
        assert_eq!(settings.engine.network.bridge.as_deref(), Some("wharf0"));
        assert_eq!(settings.hosts, [Host::Unix(None)]);
        assert_eq!(settings.engine.default_shm_size, 64 << 20);
        assert!(!settings.engine.live_restore);
        assert_eq!(settings.min_api, api::version::MIN);
    }

    #[test]
    fn the_file_reaches_the_engine() {
        let settings = settings(
            r#"{"mtu":1400,"icc":false,"dns":["1.1.1.1"],"log-opts":{"max-size":"1m","max-file":3},
                "default-address-pools":[{"base":"10.0.0.0/8","size":24}],"default-shm-size":"1m",
                "default-ulimits":{"nofile":{"Name":"nofile","Hard":5,"Soft":4}},"proxies":{"http-proxy":"p"},
                "runtimes":{"x":{"path":"/x","runtimeArgs":["-a"]}},"containerd":"/y","min-api-version":"1.40"}"#,
        )
        .unwrap();
        let engine = settings.engine;
        assert_eq!((engine.network.mtu, engine.network.icc), (1400, false));
        assert_eq!(engine.log.options["max-file"], "3");
        assert_eq!(engine.network.address_pools[0].size, 24);
        assert_eq!(engine.default_shm_size, 1 << 20);
        assert_eq!(engine.default_ulimits["nofile"], Ulimit { soft: 4, hard: 5 });
        assert_eq!(engine.runtimes["x"].arguments, ["-a"]);
        assert_eq!(engine.registry.http_proxy, "p");
        assert_eq!(settings.idle_options, ["containerd"]);
        assert_eq!(settings.min_api, api::ApiVersion::new(40));
    }

    #[test]
    fn wrong_values_are_refused() {
        for (text, expected) in [
            (r#"{"log-level":"foo"}"#, "invalid logging level: foo"),
            (r#"{"max-concurrent-downloads":-5}"#, "invalid max concurrent downloads: -5"),
            (
                r#"{"default-ipc-mode":"foo"}"#,
                "default IPC mode setting (foo) is invalid; use \"shareable\" or \"private\"",
            ),
            (
                r#"{"bip":"1.2.3.4/24","bridge":"x"}"#,
                "you specified --bip and --bridge, mutually exclusive options. please specify only one",
            ),
            (r#"{"hosts":["foo://"]}"#, "invalid bind address (foo://): unsupported proto 'foo'"),
            (r#"{"runtimes":{"runc":{"path":"x"}}}"#, "runtime name 'runc' is reserved"),
            (r#"{"default-runtime":"nosuch"}"#, "specified default runtime 'nosuch' does not exist"),
            (
                r#"{"runtimes":{"x":{"path":"/bin/x"}},"default-runtime":"x"}"#,
                "specified default runtime 'x' cannot be used: containers are run with the engine's own runtime only",
            ),
            (
                r#"{"default-address-pools":[{"base":"10.0.0.0/24","size":8}]}"#,
                "invalid address pool: base \"10.0.0.0/24\", size 8",
            ),
            (r#"{"min-api-version":"1.2"}"#, "minimum API version 1.2 is not between 1.24 and 1.55"),
            (r#"{"exec-opts":["native.cgroupdriver=x"]}"#, "native.cgroupdriver option x not supported"),
        ] {
            assert_eq!(settings(text).unwrap_err(), expected);
        }
    }
}
