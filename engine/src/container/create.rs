//! `create`: a checked request becomes a record, a writable layer, volumes; or nothing at all.

use std::sync::Arc;

use api::container::{CreateRequest, CreateResponse};
use model::ContainerId;

use super::create_record::new_record;
use super::making::Making;
use super::parameters::CreateParameters;
use super::settings::{Link, NetworkMode};
use super::validate::{self, Checked};
use super::{events, merge, port_spec};
use crate::engine::Inner;
use crate::storage::Image;
use crate::{Error, Result};

/// Name under which a record keeps its [`Settings`].
pub(crate) const SETTINGS: &str = "settings";

pub(crate) fn create(inner: &Arc<Inner>, parameters: CreateParameters) -> Result<CreateResponse> {
    create_on(inner, parameters, None)
}

/// A container for one command of a build, above layers that need not be an image's. It has no record on disk; whoever
/// made it removes it.
pub(crate) fn create_step(
    inner: &Arc<Inner>,
    parameters: CreateParameters,
    root: Image,
) -> Result<CreateResponse> {
    create_on(inner, parameters, Some(root))
}

fn create_on(
    inner: &Arc<Inner>,
    parameters: CreateParameters,
    step: Option<Image>,
) -> Result<CreateResponse> {
    let is_step = step.is_some();
    let CreateParameters { name, platform, mut request, version } = parameters;
    let config = inner.config();
    let find_container = |reference: &str| inner.find(reference).map(|found| found.id().to_string());
    let context = validate::Context {
        config: &config,
        machine: &inner.machine,
        version,
        find_container: &find_container,
    };
    let mut checked = validate::check(&mut request, &context)?;
    let platform = platform.filter(|text| !text.is_empty() && !version.below(41));
    let image = match step {
        Some(root) => Some(root),
        None => find_image(inner, &request, platform.as_deref())?,
    };
    if let Some(image) = &image {
        if platform.is_none() {
            checked.warnings.extend(foreign(&image.platform));
        }
        merge::merge(&mut request.config, &image.defaults);
    }
    request.config.labels.get_or_insert_default();
    if request.config.entrypoint.as_ref().is_some_and(|words| words.iter().all(String::is_empty)) {
        // `--entrypoint ''` only takes the image's away.
        request.config.entrypoint = None;
    }
    let (path, args) = command_of(&request.config)?;
    let id = ContainerId::generate();
    let reserved = inner.containers.reserve_name(name.as_deref().filter(|name| !name.is_empty()), &id);
    let reserved = reserved.map_err(Error::from_kinded)?;
    let mut making = Making::new(inner, &id);
    complete_request(inner, &mut request, &mut checked, &id)?;
    inner.step("create.snapshot")?;
    making.prepare_root(image.as_ref())?;
    inner.step("create.volumes")?;
    let mounts = making.prepare_mounts(&request, &mut checked)?;
    inner.step("create.directory")?;
    making.make_directory()?;
    let mut record = new_record(inner, id, reserved.as_str(), &request, &checked)?;
    record.path = path;
    record.args = args;
    record.image_id = image.as_ref().map(|image| image.id.clone()).unwrap_or_default();
    record.image_manifest = image.as_ref().map(|image| image.manifest.clone());
    record.mounts = mounts;
    record.config.build_step = is_step;
    inner.step("create.record")?;
    let warnings = checked.warnings;
    let container = inner.containers.insert(record).map_err(Error::from_kinded)?;
    making.done();
    drop(reserved);
    events::container(inner, &container.record(), "create", &[]);
    Ok(CreateResponse { id: container.id().to_string(), warnings })
}

fn find_image(inner: &Inner, request: &CreateRequest, platform: Option<&str>) -> Result<Option<Image>> {
    if request.config.image.is_empty() {
        return Ok(None);
    }
    let image = inner.storage.resolve(&request.config.image, platform)?;
    crate::image::note_use(inner, &image.id);
    Ok(Some(image))
}

/// What Docker says about an image that is here only for other machines than this one.
fn foreign(image: &oci::Platform) -> Option<String> {
    let host = oci::Platform::detected();
    (!host.runs(image)).then(|| {
        format!(
            "The requested image's platform ({}) does not match the detected host platform ({}) and no specific platform \
             was requested",
            image.text(),
            host.text()
        )
    })
}

fn command_of(config: &api::container::Config) -> Result<(String, Vec<String>)> {
    let entrypoint = config.entrypoint.iter().flatten();
    let mut words = entrypoint.chain(config.cmd.iter().flatten()).cloned();
    match words.next() {
        Some(path) => Ok((path, words.collect())),
        None => Err(Error::invalid("no command specified")),
    }
}

/// Fills in what depends on the id and on other containers.
fn complete_request(
    inner: &Inner,
    request: &mut CreateRequest,
    checked: &mut Checked,
    id: &ContainerId,
) -> Result<()> {
    let settings = &mut checked.settings;
    if request.config.hostname.is_empty() {
        request.config.hostname = if settings.uts_host || settings.network == NetworkMode::Host {
            crate::system::host_name()
        } else {
            id.short().to_owned()
        };
    }
    for key in request.config.exposed_ports.iter().flatten().map(|(key, _)| key) {
        for port in exposed_ports(key) {
            if !settings.exposed.contains(&port) {
                settings.exposed.push(port);
            }
        }
    }
    for text in request.host_config.links.iter().flatten() {
        settings.links.push(resolve_link(inner, text)?);
    }
    Ok(())
}

/// `8000-8003/tcp` is four ports; what is no port is left out, as Docker does with images' texts.
fn exposed_ports(key: &str) -> Vec<(u16, String)> {
    let (ports, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (port_spec::parse_key(&format!("{first}/{protocol}")), last.parse::<u16>()) {
        (Ok((first, protocol)), Ok(last)) => (first..=last).map(|port| (port, protocol.clone())).collect(),
        _ => Vec::new(),
    }
}

fn resolve_link(inner: &Inner, text: &str) -> Result<Link> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, alias) = match parts.as_slice() {
        [name] if !name.is_empty() => (*name, name.trim_start_matches('/')),
        // What inspect shows of a link: `/target:/parent/alias`.
        [name, alias] => (*name, alias.rsplit('/').next().unwrap_or(alias)),
        _ => return Err(Error::internal(format!("bad format for links: {text}"))),
    };
    let target = inner.find(name).map_err(|error| {
        Error::invalid(format!("could not get container for {name}: {}", error.message()))
    })?;
    Ok(Link { target: target.id().to_string(), alias: alias.to_owned() })
}
