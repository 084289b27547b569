//! Builds by the classic door: a context comes in as a tar stream, the steps go out as lines.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use api::container::{HostConfig, Ulimit};
use api::image::{ErrorDetail, Progress};
use api::system::AuthConfig;
use builder::plan::{Options, Style};
use engine::build::{BuildError, BuildRequest, Cancel, Client, ContextSource, PruneWishes, Received};
use engine::registry::{Credentials, Stop, credentials};
use oci::{Platform, Reference};

use super::build_lines::Lines;
use super::registry::{Output, decode};
use crate::call::Call;
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// `POST /build`
pub(crate) fn build(call: &mut Call<'_, '_>) -> Answer {
    let request = request(call)?;
    let cancel = Cancel::default();
    let received = receive(call, &request, &cancel)?;
    let quiet = call.query.flag("q");
    let gone = cancel.clone();
    let _watch = call.exchange.watch_disconnect(move || gone.stop())?;
    let (engine, version) = (call.engine, call.version);
    let head = call.head(200).content_type(api::stream::JSON);
    let mut output = Output::Waiting(call.exchange, head);
    let stop = Stop::default();
    let (tell, told) = mpsc::channel();
    let mut held = Vec::new();
    let outcome = std::thread::scope(|scope| {
        let (request, cancel) = (&request, &cancel);
        let work = scope.spawn(move || run(engine, request, &received, tell, cancel));
        for progress in told {
            if quiet {
                held.push(progress);
                continue;
            }
            output.write(&progress, version, &stop);
            if stop.is_stopped() {
                cancel.stop();
            }
        }
        work.join().unwrap_or_else(|_| Err(Box::new(Progress::failure("the build ended unexpectedly"))))
    });
    match outcome {
        Ok(id) if quiet => output.write(&Progress::stream(format!("{id}\n")), version, &stop),
        Ok(_) => {}
        Err(failure) => {
            held.iter().for_each(|line| output.write(line, version, &stop));
            output.write(&failure, version, &stop);
        }
    }
    output.finish()
}

/// Runs the build; what it tells goes to the channel, the last word of a failure comes back.
fn run(
    engine: &engine::Engine,
    request: &BuildRequest,
    received: &Received,
    tell: mpsc::Sender<Progress>,
    cancel: &Cancel,
) -> Result<String, Box<Progress>> {
    let fresh = request.options.no_cache;
    let knows = |step: &str| engine.builds().knows_step(step) && !fresh;
    let lines = Lines::new(tell, &knows);
    let outcome = engine.builds().build(request, received, &lines, cancel);
    match outcome {
        Ok(outcome) => {
            lines.finish(&outcome);
            Ok(outcome.id)
        }
        Err(error) => {
            lines.failed(&error);
            Err(Box::new(failure(&error, &lines)))
        }
    }
}

/// The line that ends a failed build.
fn failure(error: &BuildError, lines: &Lines<'_>) -> Progress {
    match error {
        BuildError::Exit { command, code, .. } => {
            let text = format!("The command '{}' returned a non-zero code: {code}", command.join(" "));
            let detail = ErrorDetail { code: i64::from(*code), message: text.clone() };
            Progress { error: text, error_detail: Some(detail), ..Progress::default() }
        }
        BuildError::Cancelled => Progress::failure("context canceled"),
        BuildError::File(error) => Progress::failure(error.to_string()),
        BuildError::Step { vertex, error } => match lines.copies(*vertex) {
            Some(keyword) => Progress::failure(format!("{keyword} failed: {}", error.message())),
            None => Progress::failure(error.message()),
        },
        BuildError::Base { error, .. } | BuildError::Refused { error, .. } | BuildError::Engine(error) => {
            Progress::failure(error.message())
        }
    }
}

fn receive(call: &mut Call<'_, '_>, request: &BuildRequest, cancel: &Cancel) -> Result<Received, Failure> {
    let builds = call.engine.builds();
    if let Some(path) = call.query.non_empty("wharf-context") {
        let number = |name: &str| {
            let text = call.query.text(name);
            text.parse::<u64>().map_err(|_| Failure::new(400, format!("invalid {name}: {text:?}")))
        };
        let (device, inode) = (number("wharf-context-device")?, number("wharf-context-inode")?);
        let place = ContextSource::Place { path: path.into(), device, inode, others: Default::default() };
        return Ok(builds.receive(request, place, cancel)?);
    }
    if let Some(remote) = call.query.non_empty("remote") {
        let gone = cancel.clone();
        let _watch = call.exchange.watch_disconnect(move || gone.stop())?;
        return Ok(builds.receive(request, ContextSource::Remote(remote), cancel)?);
    }
    let mut body = call.exchange.body()?;
    Ok(builds.receive(request, ContextSource::Tar(&mut body), cancel)?)
}

fn request(call: &Call<'_, '_>) -> Result<BuildRequest, Failure> {
    let query = &call.query;
    let platform = query.text("platform");
    let explicit_platform = !platform.is_empty();
    let host = Platform::host();
    let wanted = if explicit_platform {
        platform.parse().map_err(|_| {
            Failure::new(
                400,
                format!("\"{platform}\": unknown operating system or architecture: invalid argument"),
            )
        })?
    } else {
        host.clone()
    };
    let network = query.non_empty("networkmode").filter(|mode| mode != "default");
    let options = Options {
        arguments: document(query.text("buildargs"), "buildargs")?,
        target: query.non_empty("target"),
        labels: document(query.text("labels"), "labels")?,
        platform: wanted,
        host,
        no_cache: query.flag("nocache"),
        network,
        style: Style::Classic,
        late_refusals: true,
        ..Options::default()
    };
    let shown: BTreeMap<String, AuthConfig> =
        call.exchange.head.header("x-registry-config").and_then(decode).unwrap_or_default();
    let keyring = shown.iter().map(|(key, auth)| (domain(key), credentials(auth))).collect();
    Ok(BuildRequest {
        dockerfile: query.text("dockerfile").to_owned(),
        dockerfile_text: None,
        names: names(call)?,
        options,
        explicit_platform,
        pull: query.flag("pull"),
        host_config: host_config(call)?,
        hostname: None,
        insecure: false,
        build_id: query.text("buildid").to_owned(),
        client: Arc::new(Keyring(keyring)),
        imports: Vec::new(),
        provenance: false,
    })
}

/// A client of the classic route: it has said all it knows with its request.
struct Keyring(BTreeMap<String, Credentials>);

impl Client for Keyring {
    fn credentials(&self, domain: &str) -> engine::Result<Credentials> {
        Ok(self.0.get(domain).cloned().unwrap_or_default())
    }
}

fn names(call: &Call<'_, '_>) -> Result<Vec<Reference>, Failure> {
    let mut names: Vec<Reference> = Vec::new();
    for text in call.query.all("t").iter().filter(|text| !text.is_empty()) {
        let name: Reference = text.parse().map_err(|error| Failure::new(400, format!("{error}")))?;
        if name.digest().is_some() {
            return Err(Failure::new(400, "build tag cannot contain a digest"));
        }
        let name = name.or_latest();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn host_config(call: &Call<'_, '_>) -> Result<HostConfig, Failure> {
    let query = &call.query;
    let ulimits: Option<Vec<Ulimit>> = match query.text("ulimits") {
        "" => None,
        text => Some(json(text, "ulimits")?),
    };
    let mut config = HostConfig {
        shm_size: query.number("shmsize")?,
        extra_hosts: Some(extra_hosts(&query.all("extrahosts"))),
        ..HostConfig::default()
    };
    if !query.text("securityopt").is_empty() && query.text("securityopt") != "null" {
        return Err(Failure::new(
            400,
            "The daemon on this platform does not support setting security options on build",
        ));
    }
    let resources = &mut config.resources;
    resources.memory = query.number("memory")?;
    resources.memory_swap = query.number("memswap")?;
    resources.cpu_shares = query.number("cpushares")?;
    resources.cpu_period = query.number("cpuperiod")?;
    resources.cpu_quota = query.number("cpuquota")?;
    resources.cpuset_cpus = query.text("cpusetcpus").to_owned();
    resources.cpuset_mems = query.text("cpusetmems").to_owned();
    resources.cgroup_parent = query.text("cgroupparent").to_owned();
    resources.ulimits = ulimits;
    Ok(config)
}

/// One parameter each, or all as a JSON list.
fn extra_hosts(given: &[String]) -> Vec<String> {
    given
        .iter()
        .flat_map(|text| serde_json::from_str::<Vec<String>>(text).unwrap_or_else(|_| vec![text.clone()]))
        .filter(|text| !text.is_empty())
        .collect()
}

fn json<T: serde::de::DeserializeOwned>(text: &str, name: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(400, format!("error reading {name}: {error}")))
}

fn document<T: serde::de::DeserializeOwned + Default>(text: &str, name: &str) -> Result<T, Failure> {
    if text.is_empty() {
        Ok(T::default())
    } else {
        json::<Option<T>>(text, name).map(Option::unwrap_or_default)
    }
}

/// The registry's domain of an address as configuration files have it.
fn domain(address: &str) -> String {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    if host == "index.docker.io" { "docker.io".to_owned() } else { host.to_owned() }
}

/// `POST /build/prune`
pub(crate) fn prune(call: &mut Call<'_, '_>) -> Answer {
    let keep = match call.query.non_empty("reserved-space") {
        Some(_) => call.query.number("reserved-space")?,
        None => call.query.number("keep-storage")?,
    };
    let wishes = PruneWishes {
        all: call.query.flag("all"),
        keep: u64::try_from(keep).unwrap_or_default(),
        filters: call.query.filters()?,
    };
    let response = call.engine.builds().prune(&wishes)?;
    call.json(200, &response)
}

/// `POST /build/cancel`
pub(crate) fn cancel(call: &mut Call<'_, '_>) -> Answer {
    match call.query.text("id") {
        "" => Err(Failure::new(400, "build ID not provided")),
        id => {
            call.engine.builds().cancel(id);
            call.empty(204)
        }
    }
}
