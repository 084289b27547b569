//! Containers: everything that is one question and one answer.

use api::container::{CreateRequest, UpdateRequest};
use engine::container::parameters::{CreateParameters, ListParameters, RemoveParameters, StopParameters};

use crate::call::{Call, encode};
use crate::failure::Failure;
use crate::json_body::decode;
use crate::shape;

type Answer = Result<(), Failure>;

/// `GET /containers/json`
pub(crate) fn list(call: &mut Call<'_, '_>) -> Answer {
    let parameters = ListParameters {
        all: call.query.flag("all"),
        limit: call.query.number("limit")?,
        size: call.query.flag("size"),
        filters: call.query.filters()?,
    };
    let version = call.version;
    let texts = call.engine.containers().list_encoded(&parameters, version.ordinal(), |summary| {
        encode(&shape::container_summary(summary, version))
    })?;
    call.json_list(200, &texts)
}

/// `POST /containers/create`
pub(crate) fn create(call: &mut Call<'_, '_>) -> Answer {
    let body = call.read_json_bytes()?;
    let mut request: CreateRequest = decode(&body)?;
    if request.config == api::container::Config::default() {
        return Err(Failure::new(400, "config cannot be empty in order to create a container"));
    }
    older_defaults(call, &mut request);
    let parameters = CreateParameters {
        name: call.query.non_empty("name"),
        platform: call.query.non_empty("platform").filter(|_| call.version.at_least(41)),
        request,
        version: call.version,
    };
    let response = call.engine.containers().create(parameters)?;
    call.json(201, &response)
}

/// What a missing field meant to older clients.
fn older_defaults(call: &Call<'_, '_>, request: &mut CreateRequest) {
    let host = &mut request.host_config;
    if call.version.below(40) && host.ipc_mode.is_empty() {
        host.ipc_mode = "shareable".to_owned();
    }
    if call.version.below(41) && host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = "host".to_owned();
    }
    if call.version.below(43) {
        host.annotations = None;
    }
    if call.version.below(44)
        && let Some(health) = &mut request.config.healthcheck
    {
        health.start_interval = 0;
    }
}

/// `GET /containers/{}/json`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Answer {
    let document = call.engine.containers().inspect(&call.name(), call.query.flag("size"))?;
    let shown = shape::container_inspect(document, call.version)?;
    call.json(200, &shown)
}

/// `GET /containers/{}/top`
pub(crate) fn top(call: &mut Call<'_, '_>) -> Answer {
    let arguments = call.query.text("ps_args").to_owned();
    let document = call.engine.containers().top(&call.name(), &arguments)?;
    call.json(200, &document)
}

/// `GET /containers/{}/changes`
pub(crate) fn changes(call: &mut Call<'_, '_>) -> Answer {
    let list = call.engine.containers().changes(&call.name())?;
    // A nil slice in Go, and clients know it so.
    if list.is_empty() { call.json(200, &()) } else { call.json(200, &list) }
}

/// `POST /containers/{}/start`
pub(crate) fn start(call: &mut Call<'_, '_>) -> Answer {
    if !call.query.text("checkpoint").is_empty() {
        return Err(Failure::new(400, "checkpoint is only supported in experimental mode"));
    }
    refuse_start_body(call)?;
    call.engine.containers().start(&call.name())?;
    call.empty(204)
}

/// Very old clients sent a host configuration along; a body of a few bytes (`null`, `{}`) is overlooked.
fn refuse_start_body(call: &Call<'_, '_>) -> Answer {
    const OVERLOOKED: u64 = 7;
    let head = &call.exchange.head;
    let length = head.header("content-length").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if length <= OVERLOOKED && head.header("transfer-encoding").is_none() {
        return Ok(());
    }
    Err(Failure::new(
        400,
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    ))
}

fn stop_parameters(call: &Call<'_, '_>) -> Result<StopParameters, Failure> {
    Ok(StopParameters {
        timeout: call.query.optional_number("t")?,
        signal: call.query.non_empty("signal").filter(|_| call.version.at_least(42)),
    })
}

/// `POST /containers/{}/stop`
pub(crate) fn stop(call: &mut Call<'_, '_>) -> Answer {
    let parameters = stop_parameters(call)?;
    call.engine.containers().stop(&call.name(), &parameters)?;
    call.empty(204)
}

/// `POST /containers/{}/restart`
pub(crate) fn restart(call: &mut Call<'_, '_>) -> Answer {
    let parameters = stop_parameters(call)?;
    call.engine.containers().restart(&call.name(), &parameters)?;
    call.empty(204)
}

/// `POST /containers/{}/kill`
pub(crate) fn kill(call: &mut Call<'_, '_>) -> Answer {
    let signal = call.query.non_empty("signal");
    call.engine.containers().kill(&call.name(), signal.as_deref())?;
    call.empty(204)
}

/// `POST /containers/{}/pause`
pub(crate) fn pause(call: &mut Call<'_, '_>) -> Answer {
    call.engine.containers().pause(&call.name())?;
    call.empty(204)
}

/// `POST /containers/{}/unpause`
pub(crate) fn unpause(call: &mut Call<'_, '_>) -> Answer {
    call.engine.containers().unpause(&call.name())?;
    call.empty(204)
}

/// `POST /containers/{}/rename`
pub(crate) fn rename(call: &mut Call<'_, '_>) -> Answer {
    let name = call.query.text("name").to_owned();
    call.engine.containers().rename(&call.name(), &name)?;
    call.empty(204)
}

/// `POST /containers/{}/resize`
pub(crate) fn resize(call: &mut Call<'_, '_>) -> Answer {
    let (height, width) = size(call)?;
    call.engine.containers().resize(&call.name(), height, width)?;
    call.empty(200)
}

/// Height and width of a terminal.
pub(crate) fn size(call: &Call<'_, '_>) -> Result<(u16, u16), Failure> {
    let number = |name: &str| {
        let number = call.query.required_number(name)?;
        let text = call.query.text(name);
        u16::try_from(number)
            .map_err(|_| Failure::new(400, format!("strconv.Atoi: parsing {text:?}: value out of range")))
    };
    Ok((number("h")?, number("w")?))
}

/// `POST /containers/{}/update`
pub(crate) fn update(call: &mut Call<'_, '_>) -> Answer {
    let request: UpdateRequest = call.read_json()?;
    let response = call.engine.containers().update(&call.name(), &request)?;
    call.json(200, &response)
}

/// `DELETE /containers/{}`
pub(crate) fn remove(call: &mut Call<'_, '_>) -> Answer {
    let parameters = RemoveParameters {
        volumes: call.query.flag("v"),
        force: call.query.flag("force"),
        link: call.query.flag("link"),
    };
    call.engine.containers().remove(&call.name(), parameters)?;
    call.empty(204)
}

/// `POST /containers/prune`
pub(crate) fn prune(call: &mut Call<'_, '_>) -> Answer {
    let filters = call.query.filters()?;
    let response = call.engine.containers().prune(&filters)?;
    call.json(200, &response)
}
