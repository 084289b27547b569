//! What is known about a result: the image's id, `--iidfile` and `--metadata-file`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;

/// What exporters said, by name.
pub(super) type Said = BTreeMap<String, String>;

/// The id of the image; empty when there is none.
pub(super) fn id(said: &Said) -> &str {
    let known = ["containerimage.config.digest", "containerimage.digest"];
    known.iter().find_map(|name| said.get(*name)).map_or("", String::as_str)
}

/// Writes the files that were asked for.
///
/// # Errors
/// When one cannot be written, or there is no image whose id it could hold.
pub(super) fn write(matches: &Matches, said: &Said, reference: &str) -> Outcome {
    let path = matches.text("iidfile");
    if !path.is_empty() {
        if id(said).is_empty() {
            return Err(Failure::text(format!("cannot write {path}: the build made no image")));
        }
        std::fs::write(path, id(said)).map_err(|error| file_failure("open", path, &error))?;
    }
    let path = matches.text("metadata-file");
    if !path.is_empty() {
        let text = crate::json::go_indented(&metadata(said, reference), "  ", false);
        std::fs::write(path, text).map_err(|error| file_failure("open", path, &error))?;
    }
    Ok(())
}

/// Everything that was said; documents in base64 as documents.
fn metadata(said: &Said, reference: &str) -> Json {
    let own = [("buildx.build.ref".to_owned(), Json::from(format!("default/default/{reference}")))];
    let document = |text: &str| {
        let bytes = STANDARD.decode(text).ok()?;
        serde_json::from_slice::<Json>(&bytes).ok().filter(|json| json.is_object() || json.is_array())
    };
    let said = said
        .iter()
        .map(|(name, text)| (name.clone(), document(text).unwrap_or_else(|| text.as_str().into())));
    let all: BTreeMap<String, Json> = own.into_iter().chain(said).collect();
    Json::Object(all.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_among_what_is_said_are_told_as_such() {
        let said = Said::from([
            ("containerimage.digest".to_owned(), "sha256:ab".to_owned()),
            ("containerimage.descriptor".to_owned(), STANDARD.encode(r#"{"size":3}"#)),
            ("image.name".to_owned(), "docker.io/library/a:latest".to_owned()),
        ]);
        assert_eq!(id(&said), "sha256:ab");
        assert_eq!(
            metadata(&said, "r"),
            serde_json::json!({
                "buildx.build.ref": "default/default/r",
                "containerimage.descriptor": { "size": 3 },
                "containerimage.digest": "sha256:ab",
                "image.name": "docker.io/library/a:latest",
            })
        );
        assert_eq!(id(&Said::new()), "");
    }
}
