//! Printing of documents in full: indented JSON, one JSON line, or a template.

use std::io::Write as _;

use serde_json::Value as Json;

use crate::failure::{Failure, Outcome};
use crate::template::{Template, Value};

/// Looks each name up and prints what was found; what was not is told after it.
///
/// # Errors
/// When the template is wrong, or something was not found.
pub fn each(format: &str, names: &[String], mut find: impl FnMut(&str) -> Result<Json, Failure>) -> Outcome {
    let template = parse(format)?;
    let mut found = Vec::new();
    let mut text = String::new();
    let mut faults = Vec::new();
    for name in names {
        let document = match find(name) {
            Ok(document) => document,
            Err(failure) => {
                faults.push(failure.message());
                continue;
            }
        };
        match template.as_ref().map(|template| fill(template, &document)) {
            None => found.push(document),
            Some(Ok(line)) => {
                text.push_str(&line);
                text.push('\n');
            }
            Some(Err(error)) => faults.push(format!("template parsing error: {error}")),
        }
    }
    match (format, found.is_empty()) {
        ("", true) => text.push_str("[]\n"),
        ("", false) => {
            text = crate::json::go_pretty(&Json::Array(found), true);
            text.push('\n');
        }
        ("json", _) => {
            text = crate::json::compact(&Json::Array(found));
            text.push('\n');
        }
        _ if text.is_empty() => text.push('\n'),
        _ => {}
    }
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if faults.is_empty() { Ok(()) } else { Err(Failure::text(faults.join("\n"))) }
}

/// Docker's client shows templates its own idea of an image first, and what the engine said when that fails.
fn fill(template: &Template, document: &Json) -> Result<String, crate::template::ExecError> {
    as_image(document)
        .and_then(|image| template.execute(&Value::from_json(&image)).ok())
        .map_or_else(|| template.execute(&Value::from_json(document)), Ok)
}

/// Fields of an image's configuration, in the order in which they are shown.
const IMAGE_FIELDS: [&str; 13] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
];

/// An image with only those fields of its configuration that say something.
fn as_image(document: &Json) -> Option<Json> {
    document.get("RootFS")?;
    let config = document.get("Config")?.as_object()?;
    let says = |value: &Json| match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty(),
        Json::Object(map) => !map.is_empty(),
        _ => true,
    };
    let fields = IMAGE_FIELDS.iter().filter_map(|name| {
        let value = config.get(*name).filter(|value| says(value))?;
        Some(((*name).to_owned(), value.clone()))
    });
    let shown = Json::Object(fields.collect());
    let mut image = document.clone();
    *image.get_mut("Config")? = shown;
    Some(image)
}

fn parse(format: &str) -> Result<Option<Template>, Failure> {
    let source = match format {
        "" | "json" => return Ok(None),
        other => other,
    };
    match Template::parse(source) {
        Ok(template) => Ok(Some(template)),
        Err(error) => Err(Failure::Text { text: format!("template parsing error: {error}"), code: 64 }),
    }
}
