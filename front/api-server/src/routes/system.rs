//! The engine itself.

use crate::call::Call;
use crate::failure::Failure;
use crate::shape;

type Answer = Result<(), Failure>;

/// `GET` and `HEAD /_ping`: a client derives everything it needs from the headers.
pub(crate) fn ping(call: &mut Call<'_, '_>) -> Answer {
    let head = call
        .head(200)
        .content_type("text/plain; charset=utf-8")
        .with("Builder-Version", "2")
        // An addition: clients of ours know a folder can be read in place, and save a question.
        .with("Wharf-Version", call.engine.config().version.as_str())
        .with("Swarm", "inactive")
        .with("Cache-Control", "no-cache, no-store, must-revalidate")
        .with("Pragma", "no-cache");
    let body: &[u8] = if call.exchange.head.method == "HEAD" { b"" } else { b"OK" };
    Ok(call.exchange.respond(&head, body)?)
}

/// `OPTIONS` of anything.
pub(crate) fn options(call: &mut Call<'_, '_>) -> Answer {
    call.empty(200)
}

/// `GET /info`
pub(crate) fn info(call: &mut Call<'_, '_>) -> Answer {
    let document = call.engine.system().info()?;
    let shown = shape::info(document, call.version)?;
    call.json(200, &shown)
}

/// `GET /version`
pub(crate) fn version(call: &mut Call<'_, '_>) -> Answer {
    let document = call.engine.system().version();
    call.json(200, &document)
}

/// `GET /system/df`
pub(crate) fn disk_usage(call: &mut Call<'_, '_>) -> Answer {
    let wanted = wanted_usage(call)?;
    let kinds = if call.version.at_least(42) { call.query.all("type") } else { Vec::new() };
    let document = call.engine.system().disk_usage(&kinds)?;
    let shown = shape::disk_usage(document, wanted, call.version);
    call.json(200, &shown)
}

/// `POST /wharf/system/check`, which Docker does not have.
pub(crate) fn check(call: &mut Call<'_, '_>) -> Answer {
    let repair = call.query.flag("repair");
    let document = call.engine.system().check(repair)?;
    call.json(200, &document)
}

/// The kinds that `type` names, all when it names none (from API 1.42).
fn wanted_usage(call: &Call<'_, '_>) -> Result<shape::Usage, Failure> {
    let kinds = if call.version.at_least(42) { call.query.all("type") } else { Vec::new() };
    let verbose = call.query.flag("verbose");
    let all = kinds.is_empty();
    let mut wanted = shape::Usage { verbose, containers: all, images: all, volumes: all, build_cache: all };
    for kind in &kinds {
        match kind.as_str() {
            "container" => wanted.containers = true,
            "image" => wanted.images = true,
            "volume" => wanted.volumes = true,
            "build-cache" => wanted.build_cache = true,
            other => return Err(Failure::new(400, format!("unknown object type: {other}"))),
        }
    }
    Ok(wanted)
}
