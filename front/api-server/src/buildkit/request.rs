//! A client's wish as a request for the engine.

use std::any::Any;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use api::container::{HostConfig, Ulimit};
use builder::plan::{Options, Style};
use buildkit::server::{Job, Wish};
use engine::build::{BuildRequest, Client};
use engine::registry::{Credentials, credentials};
use grpc::{Code, Status};
use oci::Platform;

use super::files::Files;

/// Platforms one build may be for.
const MOST_PLATFORMS: usize = 32;
/// The name of the machine commands run on, when the client does not say one: the same in all builds.
const HOSTNAME: &str = "buildkitsandbox";

/// What is built, and with what.
pub(super) fn request(wish: &Wish, job: &Job, files: &Files) -> Result<BuildRequest, Status> {
    let host = Platform::host();
    let platform = platforms(wish)?.into_iter().next().unwrap_or_else(|| host.clone());
    let contexts = files.contexts.on(&platform);
    let text = &files.dockerfile.data;
    let options = Options {
        arguments: wish.arguments.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        target: wish.target.clone(),
        labels: wish.labels.clone(),
        platform,
        host,
        no_cache: wish.no_cache.as_ref().is_some_and(Vec::is_empty),
        no_cache_stages: wish.no_cache.clone().unwrap_or_default(),
        network: wish.network.clone().filter(|mode| mode != "default"),
        contexts,
        style: Style::BuildKit,
        ignore: files.ignore().to_vec(),
        only_checks: false,
        late_refusals: false,
    };
    Ok(BuildRequest {
        dockerfile: files.dockerfile_path().to_owned(),
        dockerfile_text: (!text.is_empty()).then(|| text.clone()),
        names: Vec::new(),
        options,
        explicit_platform: !wish.platforms.is_empty(),
        pull: wish.pull,
        host_config: host_config(wish)?,
        hostname: Some(wish.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned())),
        insecure: false,
        build_id: job.reference.clone(),
        client: Arc::new(SessionClient { job: job.clone(), wants_shell: wish.debug }),
        imports: Vec::new(),
        provenance: false,
    })
}

/// The platforms that are wanted, each once; the host's when none is named.
pub(super) fn platforms(wish: &Wish) -> Result<Vec<Platform>, Status> {
    if wish.platforms.len() > MOST_PLATFORMS {
        return Err(invalid(&format!("more than {MOST_PLATFORMS} platforms")));
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for text in &wish.platforms {
        let platform: Platform = text.parse().map_err(|error| invalid(&error))?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() {
        platforms.push(Platform::host());
    }
    Ok(platforms)
}

fn invalid(error: &dyn std::fmt::Display) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

fn host_config(wish: &Wish) -> Result<HostConfig, Status> {
    let mut config = HostConfig {
        shm_size: wish.shm_size.and_then(|size| i64::try_from(size).ok()).unwrap_or_default(),
        extra_hosts: Some(wish.hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect()),
        ..HostConfig::default()
    };
    config.resources.cgroup_parent = wish.cgroup_parent.clone().unwrap_or_default();
    let ulimits: Vec<Ulimit> = wish.ulimits.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?;
    config.resources.ulimits = (!ulimits.is_empty()).then_some(ulimits);
    Ok(config)
}

/// `name=soft[:hard]`.
fn ulimit(text: &str) -> Result<Ulimit, Status> {
    let wrong = || invalid(&format!("invalid ulimit argument: {text}"));
    let (name, numbers) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = numbers.split_once(':').unwrap_or((numbers, numbers));
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

/// What the client would say to a registry; nothing without a session.
pub(super) fn credentials_of(job: &Job, domain: &str) -> Result<Credentials, Status> {
    let Some(session) = job.session.get() else { return Ok(Credentials::default()) };
    let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
    let Some(said) = session.credentials(host)? else { return Ok(Credentials::default()) };
    let mut document = api::system::AuthConfig::default();
    if said.username.is_empty() {
        document.identitytoken = said.secret;
    } else {
        (document.username, document.password) = (said.username, said.secret);
    }
    Ok(credentials(&document))
}

/// What the client has, through its session.
struct SessionClient {
    job: Job,
    wants_shell: bool,
}

impl Client for SessionClient {
    fn credentials(&self, domain: &str) -> engine::Result<Credentials> {
        credentials_of(&self.job, domain).map_err(engine::Error::from_kinded)
    }

    fn secret(&self, id: &str) -> engine::Result<Option<Vec<u8>>> {
        let Some(session) = self.job.session.get() else { return Ok(None) };
        let secret = session.secret(id).map_err(engine::Error::from_kinded)?;
        Ok(secret.map(|secret| secret.bytes().to_vec()))
    }

    fn agent(&self, id: &str, path: &Path) -> engine::Result<Option<Box<dyn Any + Send>>> {
        let id = if id.is_empty() { "default" } else { id };
        let Some(session) = self.job.session.get() else { return Ok(None) };
        if session.check_agent(id).is_err() {
            return Ok(None);
        }
        let failed = |error| engine::Error::caused("forwarding the client's ssh agent", error);
        let listener = UnixListener::bind(path).map_err(failed)?;
        Ok(Some(Box::new(session.forward_agent(id, listener).map_err(failed)?)))
    }

    fn wants_shell(&self) -> bool {
        self.wants_shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_hosts_are_read() {
        let wish = Wish {
            ulimits: vec!["nofile=10:20".into(), "core=0".into()],
            hosts: vec![("a".into(), "::1".into())],
            shm_size: Some(4096),
            ..Wish::default()
        };
        let config = host_config(&wish).expect("reads");
        let limits: Vec<_> = config.resources.ulimits.unwrap_or_default();
        assert_eq!((limits[0].soft, limits[0].hard, limits[1].hard), (10, 20, 0));
        assert_eq!((config.extra_hosts, config.shm_size), (Some(vec!["a:::1".to_owned()]), 4096));
        assert!(ulimit("nofile").is_err() && ulimit("nofile=x").is_err());
    }
}
