//! Images: everything that is one question and one answer.

use engine::container::parameters::CommitParameters;
use engine::image::{ImageInspectParameters, ImageListParameters};
use oci::Platform;

use crate::call::Call;
use crate::failure::Failure;
use crate::json_body::decode;
use crate::shape;

type Answer = Result<(), Failure>;

/// `GET /images/json`
pub(crate) fn list(call: &mut Call<'_, '_>) -> Answer {
    let parameters = ImageListParameters {
        all: call.query.flag("all"),
        shared_size: call.query.flag("shared-size") && call.version.at_least(42),
        manifests: call.query.flag("manifests") && call.version.at_least(47),
        filters: call.query.filters()?,
    };
    let list = call.engine.images().list(&parameters)?;
    let shown = shape::image_summaries(list, call.version);
    call.json(200, &shown)
}

/// `GET /images/{*}/json`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Answer {
    let manifests = call.query.flag("manifests") && call.version.at_least(48);
    let platform = platform(call, "platform", 49)?;
    if manifests && platform.is_some() {
        return Err(Failure::new(
            400,
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let parameters = ImageInspectParameters { platform, manifests };
    let document = call.engine.images().inspect(&call.name(), &parameters)?;
    let shown = shape::image_inspect(document, call.version)?;
    call.json(200, &shown)
}

/// A platform given as OCI JSON (wire detail 26).
pub(crate) fn platform(call: &Call<'_, '_>, name: &str, since: u16) -> Result<Option<Platform>, Failure> {
    let given = call.query.get(name).filter(|text| !text.is_empty() && call.version.at_least(since));
    given.map(read_platform).transpose()
}

/// Platforms given as OCI JSON, one in each parameter.
pub(crate) fn platforms(call: &Call<'_, '_>, name: &str, since: u16) -> Result<Vec<Platform>, Failure> {
    let given = if call.version.at_least(since) { call.query.all(name) } else { Vec::new() };
    given.iter().map(|text| read_platform(text)).collect()
}

/// `{"os":"linux","architecture":"arm64","variant":"v8"}`.
fn read_platform(text: &str) -> Result<Platform, Failure> {
    let wrong = |why: String| Failure::new(400, format!("failed to parse platform: {why}"));
    let platform: Platform = api::decode(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(wrong("both OS and Architecture must be provided".to_owned()));
    }
    Ok(platform)
}

/// `GET /images/{*}/history`
pub(crate) fn history(call: &mut Call<'_, '_>) -> Answer {
    let platform = platform(call, "platform", 48)?;
    let list = call.engine.images().history(&call.name(), platform.as_ref())?;
    call.json(200, &list)
}

/// `GET /images/{*}/attestations`: images here have none that would be kept apart.
pub(crate) fn attestations(call: &mut Call<'_, '_>) -> Answer {
    call.engine.images().inspect(&call.name(), &ImageInspectParameters::default())?;
    call.json(200, &[(); 0])
}

/// `POST /images/{*}/tag`
pub(crate) fn tag(call: &mut Call<'_, '_>) -> Answer {
    let (repository, tag) = (call.query.text("repo").to_owned(), call.query.text("tag").to_owned());
    call.engine.images().tag(&call.name(), &repository, &tag)?;
    call.empty(201)
}

/// `DELETE /images/{*}`
pub(crate) fn remove(call: &mut Call<'_, '_>) -> Answer {
    let name = call.name();
    if name.trim().is_empty() {
        return Err(Failure::new(400, "image name cannot be blank"));
    }
    let (force, no_prune) = (call.query.flag("force"), call.query.flag("noprune"));
    let platforms = platforms(call, "platforms", 50)?;
    let list = if platforms.is_empty() {
        call.engine.images().remove(&name, force, no_prune)?
    } else {
        call.engine.images().remove_platforms(&name, &platforms, force)?
    };
    call.json(200, &list)
}

/// `POST /images/prune`
pub(crate) fn prune(call: &mut Call<'_, '_>) -> Answer {
    let response = call.engine.images().prune(&call.query.filters()?)?;
    call.json(200, &response)
}

/// `POST /commit`
pub(crate) fn commit(call: &mut Call<'_, '_>) -> Answer {
    let body = call.read_json_bytes()?;
    let config = if body.trim_ascii().is_empty() { None } else { decode(&body)? };
    let query = &call.query;
    let parameters = CommitParameters {
        container: query.text("container").to_owned(),
        repository: query.text("repo").to_owned(),
        tag: query.text("tag").to_owned(),
        comment: query.text("comment").to_owned(),
        author: query.text("author").to_owned(),
        pause: query.flag_or("pause", true),
        changes: query.all("changes"),
        config,
    };
    let id = call.engine.containers().commit(parameters)?;
    call.json(201, &api::exec::IdResponse { id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_come_as_json() {
        for (text, expected) in [
            (r#"{"os":"linux","architecture":"amd64"}"#, Some("linux/amd64")),
            (r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#, Some("linux/arm64/v8")),
            (r#"{"os":"linux"}"#, None),
            ("linux/amd64", None),
        ] {
            let found = read_platform(text).ok().map(|platform| platform.text());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
