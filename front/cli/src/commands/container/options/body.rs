//! Puts the options together into the document of `POST /containers/create`.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::port::Ports;
use super::{check, device, environment, health, mount, network, security, volume};
use crate::failure::Failure;
use crate::matches::Matches;
use crate::session::Session;

/// What the flags of `run` and `create` say.
#[derive(Debug)]
pub struct Created {
    /// The document.
    pub body: Json,
    /// The image's reference as it was typed.
    pub image: String,
    /// Which streams are attached.
    pub attach_stdin: bool,
    /// Whether output is.
    pub attach_stdout: bool,
    /// Whether errors are.
    pub attach_stderr: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
}

/// Reads the flags; `detached` is `run -d`.
///
/// # Errors
/// When values are wrong or contradict each other, with docker's texts.
pub fn build(session: &Session, matches: &Matches, detached: bool) -> Result<Created, Failure> {
    let streams: Vec<String> = matches.list("attach").iter().map(|name| name.to_lowercase()).collect();
    let interactive = matches.on("interactive");
    let default_attach = streams.is_empty() && !detached;
    let attached = |name: &str| streams.iter().any(|stream| stream == name);
    let attach_stdin = attached("stdin") || (default_attach && interactive);
    let (attach_stdout, attach_stderr) =
        (attached("stdout") || default_attach, attached("stderr") || default_attach);
    check_swappiness(matches)?;
    let tty = matches.on("tty");
    let auto_remove = matches.on("rm");
    let command = matches.args.get(1..).unwrap_or_default();
    let entrypoint = match (matches.given("entrypoint"), matches.text("entrypoint")) {
        (false, _) => Json::Null,
        (true, text) => json!([text]),
    };
    let ports = ports(matches)?;
    let mut env =
        environment::read_environment(matches.list("env-file"), matches.list("env"), &session.environment)?;
    let host = session.client()?.host();
    env.extend(environment::proxies(session.config(), host, &env));
    let labels = environment::read_labels(matches.list("label-file"), matches.list("label"))?;
    let (binds, volumes) = volumes(matches)?;
    let (network_mode, endpoints) = network::collect(matches)?;
    let image = matches.arg(0).to_owned();
    let mut body = json!({
        "Hostname": matches.text("hostname"), "Domainname": matches.text("domainname"), "User": matches.text("user"),
        "AttachStdin": attach_stdin, "AttachStdout": attach_stdout, "AttachStderr": attach_stderr,
        "ExposedPorts": ports.exposed, "Tty": tty, "OpenStdin": interactive,
        "StdinOnce": interactive && attach_stdin, "Env": env,
        "Cmd": if command.is_empty() { Json::Null } else { json!(command) },
        "Image": image, "Volumes": volumes, "WorkingDir": matches.text("workdir"), "Entrypoint": entrypoint,
        "OnBuild": null, "Labels": labels,
        "HostConfig": host_config(matches, binds, ports.bindings, &network_mode)?,
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(stopping_and_health(matches)?);
    }
    Ok(Created { body, image, attach_stdin, attach_stdout, attach_stderr, tty, auto_remove })
}

fn check_swappiness(matches: &Matches) -> Result<(), Failure> {
    let swappiness = matches.int("memory-swappiness");
    if (-1..=100).contains(&swappiness) {
        return Ok(());
    }
    Err(Failure::text(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100")))
}

fn ports(matches: &Matches) -> Result<Ports, Failure> {
    let mut ports = Ports::default();
    for text in matches.list("publish") {
        ports.publish(text).map_err(Failure::text)?;
    }
    for text in matches.list("expose") {
        ports.expose(text).map_err(Failure::text)?;
    }
    Ok(ports)
}

/// Fields that are only sent when something is said.
fn stopping_and_health(matches: &Matches) -> Result<Map<String, Json>, Failure> {
    let mut fields = Map::new();
    if matches.given("stop-signal") {
        fields.insert("StopSignal".to_owned(), json!(matches.text("stop-signal")));
    }
    if matches.given("stop-timeout") {
        fields.insert("StopTimeout".to_owned(), json!(matches.int("stop-timeout")));
    }
    let check = health::collect(matches)?;
    if !check.is_null() {
        fields.insert("Healthcheck".to_owned(), check);
    }
    Ok(fields)
}

/// Binds and named volumes with a source go to the host's side, bare paths are anonymous volumes.
fn volumes(matches: &Matches) -> Result<(Vec<String>, Map<String, Json>), Failure> {
    let mut binds = Vec::new();
    let mut anonymous = Map::new();
    for text in matches.list("volume") {
        if volume::has_source(text).map_err(Failure::text)? {
            let (source, rest) = text.split_once(':').unwrap_or((text, ""));
            binds.push(format!("{}:{rest}", mount::absolute(source)));
        } else {
            anonymous.insert(text.clone(), json!({}));
        }
    }
    Ok((binds, anonymous))
}

/// Names of capabilities as the engine has them, sorted; `ALL` swallows the others.
fn capabilities(add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let normal = |list: &[String]| -> BTreeSet<String> {
        let all: BTreeSet<String> = list
            .iter()
            .map(|name| name.trim().to_uppercase())
            .map(|name| match name.as_str() {
                "ALL" | "RESET" => name,
                other if other.starts_with("CAP_") => name,
                other => format!("CAP_{other}"),
            })
            .collect();
        if all.contains("ALL") { BTreeSet::from(["ALL".to_owned()]) } else { all }
    };
    let (add, drop) = (normal(add), normal(drop));
    let drop = drop.into_iter().filter(|name| !add.contains(name)).collect();
    (add.into_iter().collect(), drop)
}

fn pairs(list: &[String]) -> Map<String, Json> {
    list.iter()
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), json!(value))
        })
        .collect()
}

fn modes(matches: &Matches) -> Result<(), Failure> {
    let container_or_host = |text: &str| {
        matches!(text, "" | "host") || text.strip_prefix("container:").is_some_and(|name| !name.is_empty())
    };
    if !container_or_host(matches.text("pid")) {
        return Err(Failure::text("--pid: invalid PID mode"));
    }
    if !matches!(matches.text("uts"), "" | "host") {
        return Err(Failure::text("--uts: invalid UTS mode"));
    }
    if !matches!(matches.text("userns"), "" | "host") {
        return Err(Failure::text("--userns: invalid USER mode"));
    }
    if !matches!(matches.text("cgroupns"), "" | "host" | "private") {
        return Err(Failure::text("--cgroupns: invalid CGROUP mode"));
    }
    Ok(())
}

fn list_of(texts: &[String], convert: impl Fn(&str) -> Result<Json, String>) -> Result<Json, Failure> {
    let list: Result<Vec<Json>, String> = texts.iter().map(|text| convert(text)).collect();
    list.map(Json::Array).map_err(Failure::text)
}

fn null_or(list: &[String]) -> Json {
    if list.is_empty() { Json::Null } else { json!(list) }
}

fn host_config(
    matches: &Matches,
    binds: Vec<String>,
    bindings: Map<String, Json>,
    network_mode: &str,
) -> Result<Json, Failure> {
    modes(matches)?;
    let (restart, retries) = check::restart_policy(matches.text("restart")).map_err(Failure::text)?;
    contradictions(matches, &restart)?;
    let driver = matches.text("log-driver");
    let (security, open_paths) = security::collect(matches.list("security-opt"))?;
    let hosts: Vec<String> = matches.list("add-host").iter().map(|text| add_host(text)).collect();
    let user_network = !matches!(network_mode, "bridge" | "default" | "host" | "none" | "")
        && !network_mode.starts_with("container:");
    let links = if user_network { Json::Null } else { null_or(matches.list("link")) };
    let (add, drop) = capabilities(matches.list("cap-add"), matches.list("cap-drop"));
    let mut config = json!({
        "Binds": null_or(&binds), "ContainerIDFile": matches.text("cidfile"),
        "LogConfig": {"Type": driver, "Config": pairs(matches.list("log-opt"))},
        "NetworkMode": network_mode, "PortBindings": bindings,
        "RestartPolicy": {"Name": restart, "MaximumRetryCount": retries}, "AutoRemove": matches.on("rm"),
        "VolumeDriver": matches.text("volume-driver"), "VolumesFrom": null_or(matches.list("volumes-from")),
        "ConsoleSize": [0, 0], "CapAdd": null_or(&add),
        "CapDrop": null_or(&drop), "CgroupnsMode": matches.text("cgroupns"),
        "Dns": matches.list("dns"), "DnsOptions": matches.list("dns-option"), "DnsSearch": matches.list("dns-search"),
        "ExtraHosts": null_or(&hosts), "GroupAdd": null_or(matches.list("group-add")),
        "IpcMode": matches.text("ipc"), "Cgroup": "", "Links": links,
        "OomScoreAdj": matches.int("oom-score-adj"), "PidMode": matches.text("pid"),
        "Privileged": matches.on("privileged"), "PublishAllPorts": matches.on("publish-all"),
        "ReadonlyRootfs": matches.on("read-only"),
        "SecurityOpt": null_or(&security), "UTSMode": matches.text("uts"), "UsernsMode": matches.text("userns"),
        "ShmSize": amount(matches, "shm-size"), "Isolation": matches.text("isolation"),
    });
    if let Some(fields) = config.as_object_mut() {
        fields.extend(limits(matches)?);
        fields.extend(optional(matches, open_paths)?);
    }
    Ok(config)
}

fn contradictions(matches: &Matches, restart: &str) -> Result<(), Failure> {
    if matches.on("rm") && !matches!(restart, "" | "no") {
        return Err(Failure::text("conflicting options: cannot specify both --restart and --rm"));
    }
    if matches.text("log-driver") == "none" && matches.given("log-opt") {
        return Err(Failure::text("invalid logging opts for driver none"));
    }
    if matches.list("storage-opt").iter().any(|text| !text.contains('=')) {
        return Err(Failure::text("invalid storage option"));
    }
    Ok(())
}

/// Fields that are only sent when something is said, and the paths that are hidden.
fn optional(matches: &Matches, open_paths: bool) -> Result<Map<String, Json>, Failure> {
    let mut optional = Map::new();
    // Null asks for the engine's own lists.
    let hidden = if open_paths { json!([]) } else { Json::Null };
    optional.insert("MaskedPaths".to_owned(), hidden.clone());
    optional.insert("ReadonlyPaths".to_owned(), hidden);
    if matches.given("init") {
        optional.insert("Init".to_owned(), json!(matches.on("init")));
    }
    if matches.given("runtime") {
        optional.insert("Runtime".to_owned(), json!(matches.text("runtime")));
    }
    for (flag, name) in [("storage-opt", "StorageOpt"), ("sysctl", "Sysctls"), ("annotation", "Annotations")]
    {
        if matches.given(flag) {
            optional.insert(name.to_owned(), Json::Object(pairs(matches.list(flag))));
        }
    }
    if matches.given("tmpfs") {
        let tmpfs: Map<String, Json> = matches
            .list("tmpfs")
            .iter()
            .map(|text| {
                let (path, options) = text.split_once(':').unwrap_or((text, ""));
                (path.to_owned(), json!(options))
            })
            .collect();
        optional.insert("Tmpfs".to_owned(), Json::Object(tmpfs));
    }
    if matches.given("mount") {
        optional.insert("Mounts".to_owned(), list_of(matches.list("mount"), mount::parse)?);
    }
    Ok(optional)
}

fn amount(matches: &Matches, flag: &str) -> i64 {
    match matches.text(flag) {
        "-1" => -1,
        text => crate::value::bytes(text).unwrap_or(0),
    }
}

/// `name=address` in the older form with a colon that all engines know.
fn add_host(text: &str) -> String {
    let (name, address) = text.split_once(['=', ':']).unwrap_or((text, ""));
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    format!("{name}:{bare}")
}

fn limits(matches: &Matches) -> Result<Map<String, Json>, Failure> {
    let devices = list_of(matches.list("device"), device::mapping)?;
    let rates = |flag: &str, bytes: bool| list_of(matches.list(flag), |text| device::parse_rate(text, bytes));
    let limits = json!({
        "CpuShares": matches.int("cpu-shares"), "Memory": amount(matches, "memory"),
        "NanoCpus": if matches.given("cpus") { crate::value::cpus(matches.text("cpus")).unwrap_or(0) } else { 0 },
        "CgroupParent": matches.text("cgroup-parent"), "BlkioWeight": matches.int("blkio-weight"),
        "BlkioWeightDevice": list_of(matches.list("blkio-weight-device"), device::parse_weight)?,
        "BlkioDeviceReadBps": rates("device-read-bps", true)?,
        "BlkioDeviceWriteBps": rates("device-write-bps", true)?,
        "BlkioDeviceReadIOps": rates("device-read-iops", false)?,
        "BlkioDeviceWriteIOps": rates("device-write-iops", false)?,
        "CpuPeriod": matches.int("cpu-period"), "CpuQuota": matches.int("cpu-quota"),
        "CpuRealtimePeriod": matches.int("cpu-rt-period"), "CpuRealtimeRuntime": matches.int("cpu-rt-runtime"),
        "CpusetCpus": matches.text("cpuset-cpus"), "CpusetMems": matches.text("cpuset-mems"),
        "Devices": devices, "DeviceCgroupRules": null_or(matches.list("device-cgroup-rule")),
        "DeviceRequests": if matches.given("gpus") { list_of(matches.list("gpus"), device::parse_gpus)? } else { Json::Null },
        "MemoryReservation": amount(matches, "memory-reservation"), "MemorySwap": amount(matches, "memory-swap"),
        "MemorySwappiness": matches.int("memory-swappiness"), "OomKillDisable": matches.on("oom-kill-disable"),
        "PidsLimit": matches.int("pids-limit"),
        "Ulimits": list_of(matches.list("ulimit"), |text| {
            let limit = check::parse_ulimit(text)?;
            Ok(json!({"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard}))
        })?,
        "CpuCount": matches.int("cpu-count"), "CpuPercent": matches.int("cpu-percent"),
        "IOMaximumIOps": matches.int("io-maxiops"), "IOMaximumBandwidth": amount(matches, "io-maxbandwidth"),
    });
    match limits {
        Json::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}
