//! Images: everything that is one question and one answer.

use engine::container::parameters::CommitParameters;
use engine::image::ImageListParameters;

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
    let wanted = platform(call, "platform", 49)?;
    if manifests && wanted.is_some() {
        return Err(Failure::new(
            400,
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let document = call.engine.images().inspect(&call.name(), wanted.as_deref())?;
    let shown = shape::image_inspect(document, call.version)?;
    call.json(200, &shown)
}

/// A platform given as OCI JSON, as `os/arch[/variant]` (wire detail 26).
pub(crate) fn platform(call: &Call<'_, '_>, name: &str, since: u16) -> Result<Option<String>, Failure> {
    match call.query.get(name).filter(|text| !text.is_empty() && call.version.at_least(since)) {
        None => Ok(None),
        Some(text) => platform_text(text).map(Some),
    }
}

/// `{"os":"linux","architecture":"arm64","variant":"v8"}` as `linux/arm64/v8`.
pub(crate) fn platform_text(text: &str) -> Result<String, Failure> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Platform {
        architecture: String,
        os: String,
        variant: String,
    }
    let wrong = |why: String| Failure::new(400, format!("failed to parse platform: {why}"));
    let platform: Platform = api::decode(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(wrong("both OS and Architecture must be provided".to_owned()));
    }
    let mut shown = format!("{}/{}", platform.os, platform.architecture);
    if !platform.variant.is_empty() {
        shown = format!("{shown}/{}", platform.variant);
    }
    Ok(shown)
}

/// `GET /images/{*}/history`
pub(crate) fn history(call: &mut Call<'_, '_>) -> Answer {
    platform(call, "platform", 48)?;
    let list = call.engine.images().history(&call.name())?;
    call.json(200, &list)
}

/// `GET /images/{*}/attestations`: images here have none that would be kept apart.
pub(crate) fn attestations(call: &mut Call<'_, '_>) -> Answer {
    call.engine.images().inspect(&call.name(), None)?;
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
    let list = call.engine.images().remove(&name, force, no_prune)?;
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
            assert_eq!(platform_text(text).ok().as_deref(), expected, "{text}");
        }
    }
}
